/** A key for tests alone, the same in every process. */
export const identity = "AGE-SECRET-KEY-1R4PUZ5HVYMJQY9PV5AL7304J0HJ69KECS30W4QDQ5XNM4GW25WNQU2Y9TR";
export const recipient = "age1ya0swz8gddjrkuq9kjlg83lfmq5wdwh29k68xlzjpzl3mp7khdwq8nhzmc";
