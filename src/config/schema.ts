/**
 * The shape of one `[plan.NAME]` table. Only the shape: whether a recipient, a time zone or a level is a good one is for the
 * stage to say, when the plan is made.
 *
 * @module
 */
import * as v from "valibot";
import { openpgpSchema, requireSchema, signTools } from "./seal.ts";
import { notifySchema } from "./notify.ts";
import { commandsSchema } from "./stores.ts";
import { stoppedSchema } from "./stopped.ts";
import { checkName } from "../name.ts";
import { collectSchema } from "./collect.ts";
import {
  argv,
  flag,
  mustBe,
  number,
  oneOrMore,
  pathIn,
  storeIn,
  table,
  text,
  texts,
  toolOf,
} from "./shape.ts";

const compress = toolOf("compress", {
  zstd: table({ level: v.optional(number) }),
  gzip: table({ level: v.optional(number) }),
}, [
  "zstd",
  "gzip",
  "none",
]);
const archive = toolOf("archive", { tar: table({ deterministic: flag }) }, ["tar"]);
const hooks = table({
  before: v.optional(argv),
  after: v.optional(argv),
  failed: v.optional(argv),
  finally: v.optional(argv),
});
const count = v.optional(number);
const within = v.optional(text);
const prune = table({
  keepLast: count,
  keepHourly: count,
  keepDaily: count,
  keepWeekly: count,
  keepMonthly: count,
  keepYearly: count,
  keepWithin: within,
  keepWithinHourly: within,
  keepWithinDaily: within,
  keepWithinWeekly: within,
  keepWithinMonthly: within,
  keepWithinYearly: within,
  pins: v.optional(texts),
  timezone: v.optional(text),
});
const health = table({
  maxAge: v.optional(text),
  maxDrillAge: v.optional(text),
  sizeShare: v.optional(number),
  maxRunTime: v.optional(text),
  maxKeyAge: v.optional(text),
});
const targets = table({
  rto: v.optional(text),
  rpo: v.optional(text),
  duration: v.optional(text),
  bytes: v.optional(number),
});
const inline = (key: string, use: string): string =>
  `a secret must not stand in a configuration. Put it in a file only its owner can read and write ${use} = "FILE" instead of ${key}`;

/** The schema of one plan whose paths resolve against `folder`. */
// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
export function planSchema(folder: string) {
  const path = pathIn(folder);
  return table({
    name: v.optional(v.pipe(
      text,
      v.rawCheck(({ dataset, addIssue }) => {
        if (dataset.typed) nameIssue(dataset.value, (message) => addIssue({ message }));
      }),
    )),
    collect: collectSchema(path),
    stopped: v.optional(stoppedSchema(path)),
    archive: v.optional(archive, "tar"),
    compress: v.optional(compress, "zstd"),
    encrypt: toolOf("encrypt", { age: ageSchema(path), openpgp: openpgpSchema(path) }, ["plaintext"]),
    sign: v.optional(
      v.array(
        toolOf("sign", signTools(path), ["sha256"]),
        mustBe('a list, such as ["sha256"]'),
      ),
      ["sha256"],
    ),
    require: v.optional(requireSchema),
    upload: table({ to: oneOrMore(storeIn(folder)), commands: v.optional(commandsSchema(path)) }, {
      to: 'is missing: say where the backups go, such as to = "./backups"',
    }),
    prune: v.optional(prune),
    hooks: v.optional(hooks),
    health: v.optional(health),
    targets: v.optional(targets),
    notify: v.optional(notifySchema(path)),
    drill: v.optional(table({ assert: v.optional(argv), scratch: v.optional(path) })),
  }, {
    collect: 'is missing: say what to back up, such as collect = { files = ["/srv/app"] }',
    encrypt:
      'is missing: write encrypt = { age = { recipients = ["age1..."] } }, or encrypt = "plaintext" to store in the clear',
    upload: 'is missing: say where the backups go, such as upload = { to = "./backups" }',
  });
}

// deno-lint-ignore explicit-function-return-type -- valibot's own types carry the shape
function ageSchema(path: v.GenericSchema<string, string>) {
  return table({
    recipients: v.optional(texts),
    recipientsFile: v.optional(path),
    identityFile: v.optional(oneOrMore(path)),
    passphraseFile: v.optional(path),
    passphraseCommand: v.optional(argv),
  }, {
    passphrase: inline("passphrase", "passphraseFile"),
    identity: inline("identity", "identityFile"),
    identities: inline("identities", "identityFile"),
  });
}

function nameIssue(name: string, report: (message: string) => void): void {
  try {
    checkName(name);
  } catch (error) {
    report((error as Error).message);
  }
}
