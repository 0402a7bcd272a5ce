/**
 * What the service does when it is asked: backups, restores, and what there is.
 *
 * @module
 */
import type { Context as Asked } from "hono";
import { backup, type BackupResult } from "../../../run.ts";
import { verify } from "../../../verify.ts";
import { takeApiData } from "../api_data.ts";
import { proseList } from "../list.ts";
import { prosePlan } from "../plan.ts";
import { podApiAt } from "../pod_api.ts";
import { checkId, proseRestore } from "../restore.ts";
import type { ProseServiceOptions } from "../service.ts";
import { type BodyLimits, limited } from "./body.ts";
import { eventsOf } from "./events.ts";
import type { Kind, Operation, Place } from "./operation.ts";
import { Trouble, troubleOf } from "./trouble.ts";
import { restoreWanted } from "./wanted.ts";
import { createdOf, detailsOf } from "./words.ts";

const SMALL: BodyLimits = { maxBytes: 8192, idleMs: 10_000, totalMs: 30_000 };

/** What the handlers share. */
export interface Served {
  readonly options: ProseServiceOptions;
  readonly place: Place;
  readonly limits: BodyLimits;
}

/** `POST /lifecycle/backup`: the body is read and checked before anything stops. */
export async function createBackup(c: Asked, { options, place, limits }: Served): Promise<Response> {
  if (!/^application\/x-tar\s*(?:;|$)/i.test(c.req.header("content-type") ?? "")) {
    throw new Trouble(
      415,
      "BAD_REQUEST",
      "Send the Pod API's data as application/x-tar, a tar archive of prose-pod-api-data/",
    );
  }
  const noDowntime = flagOf(c.req.query("no_downtime"), "no_downtime");
  using taken = place.take("backup");
  const podApiData = await takeApiData(limited(c.req.raw, limits, place.ending), options.pod.spoolDir).catch(
    (error) => {
      const trouble = troubleOf(error, "INTERNAL_ERROR");
      throw trouble.code === "INVALID_BACKUP" ? new Trouble(400, "BAD_REQUEST", trouble.message) : trouble;
    },
  );
  using unused = new DisposableStack();
  unused.use(podApiData);
  const work = taken.run(async (progress) => {
    using sent = podApiData;
    const plan = prosePlan({
      ...options.pod,
      podApiData: sent,
      noDowntime: noDowntime || options.pod.noDowntime,
    });
    return await backup(plan, { log: options.log, state: options.state, now: options.now?.(), progress });
  });
  unused.move(); // from here on the work closes it
  return await answer(
    c,
    "backup",
    work,
    createdOf,
    (result: BackupResult) =>
      Response.json(createdOf(result), {
        status: 201,
        headers: { location: `/lifecycle/backups/${encodeURIComponent(result.id)}` },
      }),
  );
}

/** `PUT /lifecycle/restore` */
export async function restoreBackup(c: Asked, { options, place }: Served): Promise<Response> {
  const id = await restoreWanted(c.req.raw, SMALL, place.ending);
  const token = c.req.header("x-prose-token");
  using taken = place.take("restore");
  const podApi = options.podApi === undefined
    ? options.pod.podApi
    : podApiAt({ url: options.podApi, ...(token === undefined ? {} : { token: () => token }) });
  const { log, state } = options;
  const work = taken.run((progress) =>
    proseRestore({ ...options.pod, podApi }, { id, log, state, now: options.now?.(), progress })
  );
  const describe = (id: string): unknown => ({ backup_id: id });
  return await answer(c, "restore", work, describe, (id: string) => Response.json(describe(id)));
}

/** The answer at the end, or events on the way. Whoever asked may be gone by then: the operation is not. */
async function answer<T>(
  c: Asked,
  kind: Kind,
  work: Operation<T>,
  describe: (result: T) => unknown,
  last: (result: T) => Response,
): Promise<Response> {
  const failure = kind === "backup" ? "BACKUP_CREATE_FAILED" : "BACKUP_RESTORE_FAILED";
  if (/\btext\/event-stream\b/i.test(c.req.header("accept") ?? "")) {
    return eventsOf(kind, work, describe, failure);
  }
  try {
    return last(await work.done);
  } catch (error) {
    throw troubleOf(error, failure);
  }
}

/** `GET /lifecycle/backups/:id` */
export async function details(c: Asked, { options }: Served): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const full = flagOf(c.req.query("full"), "full");
  checkId(id);
  const plan = prosePlan(options.pod);
  const item = (await proseList(plan)).find((one) => one.id === id);
  if (!item) {
    throw new Trouble(
      404,
      "BACKUP_NOT_FOUND",
      "There is no such backup. GET /lifecycle/backups lists what there is",
    );
  }
  const { log, state } = options;
  const look = item.format === "holdfast"
    ? verify(plan, { id, level: full ? "full" : "quick", log, state }).then(
      () => undefined,
      (error) => error as unknown,
    )
    : Promise.resolve(undefined);
  return c.json(detailsOf(item, await look));
}

function flagOf(value: string | undefined, name: string): boolean {
  if (value === undefined || value === "false") return false;
  if (value === "true") return true;
  throw new Trouble(400, "BAD_REQUEST", `"${name}" must be true or false`);
}
