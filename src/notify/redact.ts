/**
 * Nothing secret leaves the machine in a message.
 *
 * @module
 */

const HIDDEN = "***";

/** Longest text that is sent along. */
const LIMIT = 4000;

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/AGE-(?:SECRET-KEY|PLUGIN)-[A-Z0-9-]+/gi, HIDDEN],
  [/-----BEGIN [A-Z ]*(?:PRIVATE KEY|PGP MESSAGE)[\s\S]*?(?:-----END [A-Z ]*-----|$)/g, HIDDEN],
  // What stands before an "@" in a URL, however it is written.
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"']*(?:@[^\s/?#@"']*)*@/gi, `$1${HIDDEN}@`],
  [/\b((?:authorization|proxy-authorization)\s*[:=]\s*)(?:(?:basic|bearer)\s+)?[^\s"',;]+/gi, `$1${HIDDEN}`],
  [/\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}/gi, `$1${HIDDEN}`],
  [
    /((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|signature|credentials?|X-Amz-[A-Za-z-]+)["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s"'&,;)]+)/gi,
    `$1${HIDDEN}`,
  ],
];

/** A text without what looks like a secret, and without the values in `hide`; cut when it is very long. */
export function redact(text: string, hide: readonly string[] = []): string {
  let safe = text;
  // Longest first: one may hold another. A value of a few characters would tear words apart.
  for (const value of hide.filter(({ length }) => length >= 4).toSorted((a, b) => b.length - a.length)) {
    safe = safe.replaceAll(value, HIDDEN);
  }
  for (const [pattern, by] of PATTERNS) safe = safe.replace(pattern, by);
  return safe.length > LIMIT ? `${safe.slice(0, LIMIT)} ...` : safe;
}
