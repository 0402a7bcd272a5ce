/** Souls for tests alone. */
export const ALICE = "9u2KM5Lw9wB1qaK3S46B4cWHTcpbCPG19wgWG9i233fX87HCA4bLYoG";
export const BOB = "AwWZ9cD5cygmGWe6tc3Pak99cunLTXjJ4p5Cw4vo1hzcepmkkfiNgyt";
/** Seed 00 01 ... 1f, bound to "alice". */
export const ZERO = "1fAhYWqs6ctsWHNZtpYJNB9BxxQPq4Pa5LkbLC3wpAibf9kJFt7JP";
