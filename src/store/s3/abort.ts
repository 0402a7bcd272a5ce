/**
 * Ends an upload in parts that will not be completed.
 *
 * @module
 */
import type { Bucket } from "./client.ts";
import { type Action, failureOf } from "./explain.ts";

/** Ends an upload, whatever has become of the run's signal. What cannot be aborted now is swept later. */
export async function abort({ settings, keyOf, call }: Bucket, key: string, id: string): Promise<boolean> {
  const action: Action = {
    text: `Cannot abort the upload of "${key}"`,
    permission: "s3:AbortMultipartUpload",
  };
  const target = { Bucket: settings.bucket, Key: keyOf(key), UploadId: id };
  try {
    await call(action, async (client, sdk, abortSignal) => {
      try {
        await client.send(new sdk.AbortMultipartUploadCommand(target), { abortSignal });
      } catch (error) {
        if (failureOf(error).status !== 404) throw error;
      }
    });
    return true;
  } catch {
    return false;
  }
}
