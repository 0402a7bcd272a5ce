/** Times and names for the tests of several targets. */

const T0 = new Date("2026-11-20T03:00:00Z");

/** So many hours after the first backup. */
export function hour(n: number): Date {
  return new Date(T0.getTime() + n * 3_600_000);
}

/** The file name of the backup made then. */
export function idAt(n: number): string {
  return `app_${hour(n).toISOString().slice(0, 19).replaceAll(":", "-")}Z.tar.zst.age`;
}
