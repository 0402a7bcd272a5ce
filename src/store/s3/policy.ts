/**
 * The smallest rights and the lifecycle rule that a store's options call for, as the documents AWS and compatible servers take.
 *
 * @module
 */
import type { Settings } from "./options.ts";

/** The IAM policy. Give it to the user or role whose keys the plan uses. */
export function policyOf(
  settings: Settings,
  { check = false }: { readonly check?: boolean | undefined },
): Readonly<Record<string, unknown>> {
  const { prefix, tags, lock, legalHold, encryption } = settings;
  const bucket = arnOf(settings);
  const condition = prefix === "" ? {} : { Condition: { StringLike: { "s3:prefix": [`${prefix}*`] } } };
  const objects = bucket.includes(":accesspoint/") ? `${bucket}/object/${prefix}*` : `${bucket}/${prefix}*`;
  const kms = encryption?.kind === "kms" ? encryption : undefined;
  return {
    Version: "2012-10-17",
    Statement: [
      { Sid: "HoldfastList", Effect: "Allow", Action: ["s3:ListBucket"], Resource: bucket, ...condition },
      { Sid: "HoldfastSweep", Effect: "Allow", Action: ["s3:ListBucketMultipartUploads"], Resource: bucket },
      {
        Sid: "HoldfastObjects",
        Effect: "Allow",
        Action: [
          "s3:GetObject",
          "s3:PutObject",
          "s3:DeleteObject",
          "s3:AbortMultipartUpload",
          ...(Object.keys(tags ?? {}).length > 0 ? ["s3:PutObjectTagging"] : []),
          ...(lock ? ["s3:PutObjectRetention", "s3:GetObjectRetention"] : []),
          ...(legalHold ? ["s3:PutObjectLegalHold", "s3:GetObjectLegalHold"] : []),
        ],
        Resource: objects,
      },
      ...(kms
        ? [{
          Sid: "HoldfastKey",
          Effect: "Allow",
          Action: ["kms:GenerateDataKey", "kms:Decrypt"],
          Resource: kms.keyId ?? "*",
        }]
        : []),
      ...(check
        ? [
          { Sid: "HoldfastCheck", Effect: "Allow", Action: CHECK, Resource: bucket },
          {
            Sid: "HoldfastCheckClean",
            Effect: "Allow",
            Action: ["s3:DeleteObjectVersion"],
            Resource: objects.replace(/\*$/, "holdfast-check-*"),
          },
        ]
        : []),
    ],
  };
}

/** What `store:check` asks besides. */
const CHECK = [
  "s3:GetBucketVersioning",
  "s3:GetBucketObjectLockConfiguration",
  "s3:GetLifecycleConfiguration",
  "s3:ListBucketVersions",
];

/** The lifecycle configuration: `aws s3api put-bucket-lifecycle-configuration --lifecycle-configuration`. */
export function lifecycleOf(
  { prefix }: Settings,
  { days = 30 }: { readonly days?: number | undefined },
): Readonly<Record<string, unknown>> {
  if (!Number.isSafeInteger(days) || days < 1) {
    throw new RangeError(`Cannot keep noncurrent versions for ${days} days: give a whole number from 1`);
  }
  return {
    Rules: [{
      ID: `holdfast${prefix === "" ? "" : `-${prefix.slice(0, -1).replaceAll(/[^A-Za-z0-9._-]/g, "-")}`}`
        .slice(0, 255),
      Status: "Enabled",
      Filter: { Prefix: prefix },
      Expiration: { ExpiredObjectDeleteMarker: true },
      NoncurrentVersionExpiration: { NoncurrentDays: days },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
    }],
  };
}

function arnOf({ bucket }: Settings): string {
  return bucket.startsWith("arn:") ? bucket : `arn:aws:s3:::${bucket}`;
}
