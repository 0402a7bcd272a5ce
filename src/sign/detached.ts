/**
 * What every tool that proves who signed does alike: sign the stored bytes and the receipt, and on the way back ask for both
 * signatures, because the plan says so and not because they happen to be there.
 *
 * @module
 */
import { label, toBytes } from "../bytes.ts";
import { RECEIPT } from "../catalog.ts";
import { IntegrityError } from "../errors.ts";
import type { Body, Bytes, Proof, Seal, SealCheck, Sealed, Signature, Signer, Stage, U8 } from "../stage.ts";

/** A way to sign. */
export interface Scheme {
  /** The tool's name. */
  readonly tool: string;
  /** Its sidecars' suffix. */
  readonly suffix: string;
  /** Public identity of the key that signs. */
  readonly identity: string;
  /** Opens the secret key. */
  readonly begin: (name: string) => Promise<Signature>;
  /**
   * Reads a signature of the object called `name`. Throws {@linkcode IntegrityError} when it is malformed, about another
   * object, or by nobody who is trusted.
   */
  readonly check: (signature: U8, name: string) => Promise<SealCheck>;
}

/** The stage of a way to sign. */
export function detached(scheme: Scheme): Stage<Sealed, Sealed> {
  const { tool, suffix, identity } = scheme;
  const signer: Signer = { suffix, authenticates: true, identity, begin: scheme.begin };
  const seal: Seal = {
    suffix,
    signer,
    verify: (bytes, name, signature) => verify(scheme, bytes, name, signature),
    check: scheme.check,
  };
  return {
    name: tool,
    verb: "sign",
    seals: [seal],
    run: (input) =>
      Promise.resolve({
        ...input,
        facts: () => {
          const sheet = input.facts();
          return { ...sheet, stages: [...sheet.stages, { verb: "sign", tool }] };
        },
        signers: [...input.signers, signer],
        seals: [...input.seals ?? [], seal],
      }),
    undo: async (output) => {
      const { proof, body } = output;
      if (!proof) return output;
      await verifyReceipt(scheme, proof);
      const signature = await sidecar(proof, suffix, proof.id);
      await scheme.check(signature, proof.id); // by whom it is, and about what, shows before a byte is read
      const read = (): ReturnType<typeof body.read> =>
        label(tool, checked(scheme, body, signature, proof.id));
      return { ...output, body: { ...body, read } };
    },
  };
}

/** The same bytes; the last are handed on when the signature has proven to fit all of them. */
function checked(scheme: Scheme, body: Body, signature: U8, name: string): Bytes {
  return toBytes(async function* (): AsyncGenerator<U8, void, undefined> {
    const check = await scheme.check(signature, name);
    let held: U8 | undefined;
    for await (const chunk of body.read()) {
      check.add(chunk);
      if (held) yield held;
      held = chunk;
    }
    await check.end();
    if (held) yield held;
  });
}

async function verifyReceipt(scheme: Scheme, proof: Proof): Promise<void> {
  const signature = await sidecar(proof, RECEIPT + scheme.suffix, `${proof.id}${RECEIPT}`);
  await verify(scheme, proof.receipt, `${proof.id}${RECEIPT}`, signature);
}

async function sidecar(proof: Proof, suffix: string, about: string): Promise<U8> {
  const found = await proof.sidecar(suffix);
  if (found) return found;
  throw new IntegrityError(
    `Cannot trust "${proof.id}": "${about}" is not signed ("${proof.id}${suffix}" is missing), and the plan asks for a ` +
      "signature. Someone has removed it, or the backup was made before the plan signed; restore another backup, and find out",
  );
}

async function verify(scheme: Scheme, bytes: U8, name: string, signature: U8): Promise<string> {
  const check = await scheme.check(signature, name);
  check.add(bytes);
  await check.end();
  return check.identity;
}
