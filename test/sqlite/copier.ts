/** A process that copies a database over and over, and says when the first copy is under way. */
import { collect } from "../../mod.ts";
import { testContext } from "../support.ts";

const [source, spoolDir] = Deno.args;
let said = false;
const progress = (): void => {
  if (!said) console.log("copying");
  said = true;
};
for (;;) {
  const files = await collect.sqlite(source!, { spoolDir, check: "off" }).run(undefined, {
    ...testContext(),
    progress,
  });
  for await (const _entry of files.entries()) { /* Made, and let go. */ }
}
