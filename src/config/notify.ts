/**
 * The shape of `notify`, and the notifiers it means.
 *
 * @module
 */
import * as v from "valibot";
import * as notify from "../notify/mod.ts";
import { readKeyLine } from "./keys.ts";
import { flag, mustBe, number, table, text, texts, type Tool, toolOf } from "./shape.ts";

/** Secrets stand in files: `urlFile`, `tokenFile`, `passwordFile`. */
interface Stored {
  readonly url?: string | undefined;
  readonly urlFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly template?: string | undefined;
}

const inline = (key: string): Record<string, string> => ({
  [key]:
    `a secret must not stand in a configuration. Put it in a file only its owner can read and write ${key}File = "FILE"`,
});

/** `notify = [...]`. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function notifySchema(path: v.GenericSchema<string, string>) {
  const common = {
    on: v.optional(texts),
    of: v.optional(texts),
    timeoutMs: v.optional(number),
    repeat: flag,
  };
  const address = { url: v.optional(text), urlFile: v.optional(path) };
  const token = { tokenFile: v.optional(path) };
  const headers = v.record(v.string(), text, mustBe("a table of headers"));
  return v.array(
    toolOf("notify", {
      healthchecks: table({ ...common, ...address, warnings: v.optional(text) }),
      ntfy: table({ ...common, ...address, ...token }, inline("token")),
      webhook: table({
        ...common,
        ...address,
        ...token,
        method: v.optional(text),
        template: v.optional(text),
        contentType: v.optional(text),
        headers: v.optional(headers),
      }, inline("token")),
      email: table({
        ...common,
        server: text,
        from: text,
        to: texts,
        user: v.optional(text),
        passwordFile: v.optional(path),
        ca: v.optional(path),
        plain: flag,
      }, inline("password")),
      prometheusFile: table({ ...common, folder: path }),
      prometheusPush: table({ ...common, ...address, ...token }, inline("token")),
    }, []),
    mustBe('a list, such as [{ ntfy = { url = "https://ntfy.sh/my-topic" } }]'),
  );
}

/** The notifier of one entry of `notify = [...]`. Throws TypeError or RangeError for what it refuses. */
export function notifierOf({ tool, options }: Tool): notify.Notifier {
  const { url, urlFile, tokenFile, passwordFile, ...rest } = options as Stored;
  const file = (name: string | undefined, what: string): notify.Secret | undefined =>
    name === undefined ? undefined : () => readKeyLine(name, what);
  if (tool === "email") {
    return notify.email({ ...rest, password: file(passwordFile, "the password") } as notify.EmailOptions);
  }
  if (tool === "prometheusFile") {
    return notify.prometheusFile(rest as unknown as notify.PrometheusFileOptions);
  }
  if ((url === undefined) === (urlFile === undefined)) {
    throw new TypeError(`${tool} needs one of url and urlFile`);
  }
  const address = url ?? file(urlFile, "the URL")!;
  const token = file(tokenFile, "the token");
  switch (tool) {
    case "healthchecks":
      return notify.healthchecks({ ...rest, url: address });
    case "ntfy":
      return notify.ntfy({ ...rest, url: address, token });
    case "webhook":
      return notify.webhook({ ...rest, url: address, token });
    default:
      return notify.prometheusPush({ ...rest, url: address, token });
  }
}
