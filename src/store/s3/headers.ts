/**
 * What goes with each request by the options: encryption, lock, class, tags.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type * as Sdk from "@aws-sdk/client-s3";
import { KeyError } from "../../errors.ts";
import { isLease } from "../key.ts";
import type { Settings } from "./options.ts";

/** The members of a request about SSE-C: with every read, write and part. */
export interface CustomerKey {
  readonly SSECustomerAlgorithm?: string;
  readonly SSECustomerKey?: string;
  readonly SSECustomerKeyMD5?: string;
}

/** What encryption takes: `customer` with every request for an object, `create` where one is begun. */
export async function encryptionOf({ encryption }: Settings): Promise<
  { readonly customer: CustomerKey; readonly create: Partial<Sdk.PutObjectCommandInput> }
> {
  if (encryption?.kind === "s3") return { customer: {}, create: { ServerSideEncryption: "AES256" } };
  if (encryption?.kind === "kms") {
    const { keyId } = encryption;
    return {
      customer: {},
      create: { ServerSideEncryption: "aws:kms", ...(keyId === undefined ? {} : { SSEKMSKeyId: keyId }) },
    };
  }
  if (encryption === undefined) return { customer: {}, create: {} };
  const key = await encryption.key();
  if (key.length !== 32) {
    throw new KeyError(`Cannot use the customer's key of the S3 store: it has ${key.length} bytes, not 32`);
  }
  // Both given as text, so that the SDK passes them on as they are.
  const customer = {
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: key.toBase64(),
    SSECustomerKeyMD5: createHash("md5").update(key).digest("base64"),
  };
  return { customer, create: customer };
}

/** Everything else a new object is given. A lease is rewritten all the time: it is neither locked nor put elsewhere. */
export function traitsOf(
  settings: Settings,
  { key, mark, type }: { readonly key: string; readonly mark: string; readonly type?: string | undefined },
): Partial<Sdk.PutObjectCommandInput> {
  const { storageClass, tags = {}, lock, legalHold } = settings;
  const tagging = new URLSearchParams(Object.entries(tags)).toString().replaceAll("+", "%20");
  const traits = {
    Metadata: { "holdfast-put": mark },
    ...(tagging === "" ? {} : { Tagging: tagging }),
    ...(type === undefined ? {} : { ContentType: type }),
  };
  if (isLease(key)) return traits;
  const day = 24 * 60 * 60 * 1000;
  return {
    ...traits,
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as Sdk.StorageClass }),
    ...(lock
      ? {
        ObjectLockMode: lock.mode === "compliance" ? "COMPLIANCE" as const : "GOVERNANCE" as const,
        ObjectLockRetainUntilDate: new Date(Date.now() + lock.days * day),
      }
      : {}),
    ...(legalHold ? { ObjectLockLegalHoldStatus: "ON" as const } : {}),
  };
}
