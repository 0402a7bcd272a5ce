/** Plans before and after a key was changed, and what can be read with which. */
import { archive, collect, compress, encrypt, list, pipeline, restore, sign, upload } from "../../mod.ts";
import type { Plan, Store } from "../../mod.ts";
import { minisignPair } from "../sign/support.ts";

export const old = await encrypt.generateIdentity();
export const fresh = await encrypt.generateIdentity();
export const signer = minisignPair();

const T0 = Date.UTC(2026, 10, 20, 3);
export const hour = (n: number): Date => new Date(T0 + n * 3_600_000);

/** Encrypts to one key, opens with another, and signs. */
export function planOf(
  source: string,
  to: Store | readonly Store[],
  recipient: string,
  identity: string,
  signed = true,
): Plan {
  const sealed = pipeline(collect.files(source)).pipe(archive.tar()).pipe(compress.zstd({ level: 1 }))
    .pipe(encrypt.age({ recipients: [recipient], identities: () => identity })).pipe(sign.sha256());
  if (!signed) return sealed.pipe(upload({ name: "app", to }));
  return sealed.pipe(sign.minisign({ publicKey: signer.publicKey, secretKey: () => signer.secretKey }))
    .pipe(upload({ name: "app", to, require: { signature: true, encryption: true } }));
}

/** The texts of the file "n" in every whole backup that `identity` opens. */
export async function readable(
  source: string,
  to: Store,
  identity: string,
  scratch: string,
): Promise<readonly string[]> {
  const plan = planOf(source, to, fresh.recipient, identity);
  const texts: string[] = [];
  for (const { id, state } of await list(plan)) {
    if (state !== "complete") continue;
    const into = `${scratch}/${crypto.randomUUID()}`;
    try {
      await restore(plan, { id, into });
    } catch {
      continue;
    }
    for (const root of Deno.readDirSync(into)) texts.push(Deno.readTextFileSync(`${into}/${root.name}/n`));
    Deno.removeSync(into, { recursive: true });
  }
  return texts.sort();
}
