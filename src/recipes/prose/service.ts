/**
 * The lifecycle service: a pod's backups and restores over HTTP, for a Pod API or an operator.
 *
 * @module
 */
import type { Hono } from "hono";
import type { RunOptions } from "../../context.ts";
import { proseList } from "./list.ts";
import { prosePlan, type ProsePlanOptions } from "./plan.ts";
import { podApiAt } from "./pod_api.ts";
import { bearer } from "./service/auth.ts";
import type { BodyLimits } from "./service/body.ts";
import { createBackup, details, restoreBackup, type Served } from "./service/handlers.ts";
import { openapi } from "./service/openapi.ts";
import { onePlace } from "./service/operation.ts";
import { bodyOf, Trouble, troubleOf } from "./service/trouble.ts";
import { itemOf } from "./service/words.ts";

/** What is served, and to whom. */
export interface ProseServiceOptions extends Pick<RunOptions, "log" | "state"> {
  /** The pod, its keys and its stores. */
  readonly pod: ProsePlanOptions;
  /** The bearer token that every request but those for health and the description must bring; at least 16 characters. */
  readonly token: string;
  /** The Pod API's URL: on a restore it gets its data back, with the request's `x-prose-token`. Default: `pod.podApi` takes it. */
  readonly podApi?: string | undefined;
  /** Bounds on what the Pod API sends. Default: 1 GiB, 30 seconds without a byte, one hour in all. */
  readonly body?: Partial<BodyLimits> | undefined;
  /** The clock. Default: now. */
  readonly now?: (() => Date) | undefined;
}

/** The service, for `Deno.serve` or anything else that speaks web requests. */
export interface ProseService {
  /** Answers a request. Never throws. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Lets nothing new begin, and resolves when what is under way has ended and Prosody runs. */
  readonly close: () => Promise<void>;
}

const LIMITS: BodyLimits = { maxBytes: 2 ** 30, idleMs: 30_000, totalMs: 3_600_000 };

/**
 * Makes the service. One operation runs at a time, and runs to its end whoever listens: a client that goes away never leaves Prosody
 * stopped. Everything about a request is checked, and its body read, before anything is stopped. Throws TypeError or RangeError for
 * wrong options, the plan's among them.
 */
export async function proseService(options: ProseServiceOptions): Promise<ProseService> {
  if (!/^[\x21-\x7e]{16,}$/.test(options.token)) {
    throw new TypeError("Cannot serve: the token must be at least 16 characters without spaces");
  }
  const limits = { ...LIMITS, ...options.body };
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0)) throw new RangeError(`Cannot serve with ${name} ${value}: use a number above 0`);
  }
  prosePlan(options.pod);
  if (options.podApi !== undefined) podApiAt({ url: options.podApi });
  const { Hono } = await import("hono");
  const app = new Hono();
  const served: Served = { options, place: onePlace(), limits };
  route(app, served);
  return { fetch: async (request) => await app.fetch(request), close: served.place.close };
}

function route(app: Hono, served: Served): void {
  const { options, place } = served;
  const check = bearer(options.token);
  app.onError((error, c) => {
    const trouble = troubleOf(error, "INTERNAL_ERROR");
    if (trouble.status >= 500) {
      options.log?.warn("service", `${c.req.method} ${c.req.path}: ${trouble.message}`);
    }
    return Response.json(bodyOf(trouble), { status: trouble.status, headers: trouble.headers });
  });
  app.get("/health", (c) => c.json({ status: "ok", operation: place.current() ?? null }));
  app.get("/openapi.json", (c) => c.json(openapi));
  app.use("/lifecycle/*", async (c, next) => {
    check(c.req.header("authorization"));
    await next();
    c.header("cache-control", "no-store");
  });
  app.post("/lifecycle/backup", (c) => createBackup(c, served));
  app.put("/lifecycle/restore", (c) => restoreBackup(c, served));
  app.get("/lifecycle/backups", async (c) => c.json((await proseList(prosePlan(options.pod))).map(itemOf)));
  app.get("/lifecycle/backups/:id", (c) => details(c, served));
  for (
    const path of [
      "/lifecycle/backup",
      "/lifecycle/restore",
      "/lifecycle/backups",
      "/lifecycle/backups/:id",
      "/health",
    ]
  ) {
    app.all(path, () => {
      throw new Trouble(
        405,
        "METHOD_NOT_ALLOWED",
        "This address does not know that method. See /openapi.json",
      );
    });
  }
  app.notFound(() => {
    throw new Trouble(404, "NOT_FOUND", "There is nothing at this address. See /openapi.json");
  });
}
