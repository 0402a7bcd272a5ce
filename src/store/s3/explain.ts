/**
 * From what a server, the network or the SDK says to one sentence: what failed, why, what to do next. And whether it may pass.
 *
 * @module
 */
import { ExistsError, IntegrityError, KeyError, messageOf, NotFoundError, StoreError } from "../../errors.ts";
import { StallError } from "./handler.ts";

/** A request, as sentences name it. */
export interface Action {
  /** "Cannot write "app.tar"". */
  readonly text: string;
  /** The permission it takes: "s3:PutObject". */
  readonly permission: string;
}

/** Where the request went. */
export interface Place {
  /** The store's URL. */
  readonly url: string;
  /** The bucket. */
  readonly bucket: string;
  /** The region asked for, where it was said. */
  readonly region: string | undefined;
  /** The profile asked for, where one was named in the options. */
  readonly profile: string | undefined;
  /** The host that was spoken to. */
  readonly host: string;
}

/** What is known of a failed request. */
export interface Failure {
  /** The server's code ("NoSuchKey"), the SDK's name, or "". */
  readonly code: string;
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number;
  /** The answer's headers. */
  readonly headers: Readonly<Record<string, string>>;
  /** All the texts of the error and its causes. */
  readonly text: string;
}

/** Codes that pass by themselves. */
const PASSING = new Set([
  "SlowDown",
  "SlowDownRead",
  "SlowDownWrite",
  "Throttling",
  "ThrottlingException",
  "TooManyRequests",
  "TooManyRequestsException",
  "RequestLimitExceeded",
  "RequestTimeout",
  "InternalError",
  "ServiceUnavailable",
  "OperationAborted",
  "ConditionalRequestConflict",
  "BadDigest",
  "XAmzContentSHA256Mismatch",
  "IncompleteBody",
  "ServerNotInitialized",
  "XMinioServerNotInitialized",
]);

const NETWORK =
  /connection (?:refused|reset|closed|aborted)|broken pipe|ECONNRE|EPIPE|ETIMEDOUT|timed out|tcp connect error|unexpected (?:eof|end of file)|error reading a body|end of file before message length|dns error|lookup address|network|IncompleteMessage|sending request|socket hang up/i;

/** Takes an error apart. */
export function failureOf(error: unknown): Failure {
  const texts: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    texts.push(at.message);
  }
  const facts = error as {
    readonly name?: string;
    readonly Code?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly headers?: Record<string, string>; readonly statusCode?: number };
  };
  return {
    code: facts?.Code ?? facts?.name ?? "",
    status: facts?.$metadata?.httpStatusCode ?? facts?.$response?.statusCode ?? 0,
    headers: facts?.$response?.headers ?? {},
    text: texts.join(": ") || messageOf(error),
  };
}

/** Whether the same request may succeed in a moment. */
export function isPassing(error: unknown): boolean {
  if (error instanceof StallError) return true;
  if (isOurs(error)) return false; // its text may name a key, which may hold any word
  const { code, status, text } = failureOf(error);
  if (/certificate|tls|handshake|CredentialsProvider/i.test(`${text} ${code}`) && status === 0) return false;
  if (PASSING.has(code) || status === 429 || [500, 502, 503, 504].includes(status)) return true;
  return status === 0 && NETWORK.test(text);
}

/** Milliseconds the server asks to wait (Retry-After in seconds or as a date), or undefined. */
export function retryAfterMs(error: unknown, now = Date.now()): number | undefined {
  const value = failureOf(error).headers["retry-after"];
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** The error to throw. Ours pass as they are. */
export function explain(error: unknown, action: Action, place: Place): Error {
  if (isOurs(error)) return error;
  const failure = failureOf(error);
  const why = (failure.status === 0 ? silence(failure, place) : answer(failure, action, place)) ??
    `the server answered ${[failure.status || "", failure.code].join(" ").trim()}: ${failure.text}`;
  return new StoreError(`${action.text} in ${place.url}: ${why}`, {
    cause: error,
    retryable: isPassing(error),
  });
}

function isOurs(error: unknown): error is Error {
  return [StoreError, ExistsError, NotFoundError, IntegrityError, KeyError, RangeError].some((kind) =>
    error instanceof kind
  );
}

/** Nothing came back: credentials, name, network, TLS. */
function silence({ code, text }: Failure, { host, profile }: Place): string | undefined {
  const all = `${code} ${text}`;
  if (/stall|no answer for/i.test(all)) {
    return `${host} gave ${text}. Look at the network and the server, and run again`;
  }
  if (/certificate|UnknownIssuer|NotValidForName|CertExpired|invalid peer/i.test(all)) {
    return `the certificate of ${host} is not trusted (${text}). Give the authority's certificate as \`ca\`, or correct the endpoint`;
  }
  if (/tls|handshake|corrupt message|InvalidContentType|wrong version/i.test(all)) {
    return `${host} does not speak TLS here (${text}). Correct the endpoint: http or https, and the port`;
  }
  if (/dns error|lookup address|ENOTFOUND|EAI_AGAIN/i.test(all)) {
    return `the host name ${host} cannot be resolved. Correct the endpoint or region, or look at this machine's DNS`;
  }
  if (/refused/i.test(all)) return `nothing listens at ${host}. Start the server, or correct the endpoint`;
  if (/region is missing/i.test(all)) {
    return "the region is not known. Give `region` (in a URL: ?region=eu-central-1), or set AWS_REGION";
  }
  if (/credential|token provider|sso|profile|could not load/i.test(all)) {
    if (profile !== undefined) {
      return `there are no keys of the profile "${profile}": ${text}. Look at ~/.aws/config and ~/.aws/credentials of the user who runs this`;
    }
    return `there are no keys: ${text}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile, or give \`credentials\``;
  }
  if (NETWORK.test(all)) {
    return `the connection to ${host} failed (${text}). Look at the network, and run again`;
  }
  return text;
}

const KEYS = "Look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, or `credentials`";

/** The server said no. */
function answer(failure: Failure, action: Action, place: Place): string | undefined {
  const { code, status, text } = failure;
  switch (code) {
    case "InvalidAccessKeyId":
      return `the server does not know the access key. ${KEYS}`;
    case "SignatureDoesNotMatch":
      return `the secret key is not the one of this access key. ${KEYS}`;
    case "ExpiredToken":
    case "ExpiredTokenException":
    case "TokenRefreshRequired":
      return `the temporary keys have expired. Renew them, and run again`;
    case "InvalidToken":
    case "InvalidTokenId":
      return `the session token is not valid. Renew the temporary keys, and run again`;
    case "RequestTimeTooSkewed":
    case "RequestExpired":
      return skew(failure);
    case "NoSuchBucket":
      return `the bucket "${place.bucket}" does not exist on ${place.host}. Create it, or correct the name or the endpoint`;
    case "InvalidBucketName":
      return `"${place.bucket}" is not a bucket's name. Correct it`;
    case "PermanentRedirect":
    case "AuthorizationHeaderMalformed":
    case "IllegalLocationConstraintException":
    case "TemporaryRedirect":
      return region(failure, place);
    case "QuotaExceeded":
    case "XMinioAdminBucketQuotaExceeded":
    case "XMinioStorageFull":
    case "StorageFull":
    case "InsufficientStorage":
    case "InsufficientCapacity":
      return `no space left, or the quota is used up (${code}). Free some space there, or prune`;
    case "InvalidStorageClass":
      return `the server does not have this storage class. Correct \`storageClass\``;
    case "NotImplemented":
      return `the server cannot do this (${text}). Run \`deno task store:check\` to see what it lacks`;
    case "ObjectLocked":
    case "WORMProtected":
      return `the object is locked. Wait for the end of its retention, or lift it`;
  }
  if (/KMS/i.test(code)) {
    return `the server cannot use the encryption key (${code}: ${text}). Look at the key and its policy`;
  }
  if (/Object ?Lock/i.test(code + text)) {
    return `${text} (${code}). Object Lock is set when a bucket is made: use another bucket, or leave out \`lock\``;
  }
  if (status === 403) {
    const bucketWide = /s3:(?:List|GetBucket|GetLifecycle)/.test(action.permission);
    const arn = `arn:aws:s3:::${place.bucket}${bucketWide ? "" : "/..."}`;
    return `the server denies it (${code || status}). Allow ${action.permission} on ${arn}; ` +
      "`deno task config --iam` prints the policy";
  }
  if (status === 301 || status === 307) return region(failure, place);
  if (status === 507) return `no space left. Free some space there, or prune`;
  if (status >= 200 && status < 300 || /not expected|Deserialization|html/i.test(text)) {
    return strange(place);
  }
  return undefined;
}

function strange({ host }: Place): string {
  return `${host} does not answer as an S3 server does. Correct the endpoint: the port of a console is a frequent mistake`;
}

/** The sentence for an answer that is a success, and not one of S3. */
export function noServer(text: string, place: Place): string {
  return `${text} in ${place.url}: ${strange(place)}`;
}

function skew({ headers }: Failure): string {
  const ahead = Date.now() - Date.parse(headers["date"] ?? "");
  const minutes = Math.round(Math.abs(ahead) / 60_000);
  const by = Number.isNaN(ahead)
    ? "wrong"
    : `${minutes} minutes ${ahead > 0 ? "ahead of" : "behind"} the server's`;
  return `this machine's clock is ${by}. Set the clock (\`timedatectl set-ntp true\`): names and retention depend on it`;
}

function region({ headers, text }: Failure, { bucket, region, host }: Place): string {
  const right = headers["x-amz-bucket-region"] ?? /expecting '?([a-z0-9-]+)'?/.exec(text)?.[1];
  const asked = region === undefined ? host : `the region "${region}"`;
  return `the bucket "${bucket}" is not in ${asked}. ${
    right ? `Give region "${right}"` : "Correct the region or the endpoint"
  }`;
}
