/**
 * The service in OpenAPI 3.1.
 *
 * @module
 */
const ref = (name: string): object => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: object): object => ({ content: { "application/json": { schema } } });
const answer = (description: string, schema: object): object => ({ description, ...json(schema) });
const trouble = (description: string): object => answer(description, ref("Error"));
const security = [{ bearer: [] }];
const events = (name: string): object => ({
  "text/event-stream": {
    schema: {
      type: "string",
      description: `Events ${name}-progress {progress, total}, ${name}-success, ${name}-error`,
    },
  },
});
const metadata = {
  created_at: { type: "string", format: "date-time" },
  size_bytes: { type: "integer" },
  is_signed: { type: "boolean" },
  is_encrypted: { type: "boolean" },
  is_consistent: {
    type: ["boolean", "null"],
    description: "false: Prosody was not stopped for it; null: not known",
  },
  can_be_restored: { type: "boolean" },
  format: { enum: ["holdfast", "prose-0.5"] },
  stores: { type: "array", items: { type: "string" } },
};
const backup = (more: object = {}): object => ({
  type: "object",
  properties: {
    id: { type: "string", description: "The whole file name" },
    description: { type: ["string", "null"] },
    metadata: { type: "object", properties: { ...metadata, ...more } },
  },
});
const idParameter = { name: "id", in: "path", required: true, schema: { type: "string" } };
const errors = {
  "401": trouble("No token, or a wrong one"),
  "503": trouble("Another operation is under way; see Retry-After"),
};

/** The document. */
export const openapi: Readonly<Record<string, unknown>> = {
  openapi: "3.1.0",
  info: { title: "Holdfast: lifecycle of a Prose pod", version: "1" },
  paths: {
    "/lifecycle/backup": {
      post: {
        summary: "Stop Prosody, make a backup, start Prosody",
        security,
        parameters: [{
          name: "no_downtime",
          in: "query",
          schema: { type: "boolean" },
          description: "Leave Prosody running: the backup may be inconsistent, and is marked so",
        }],
        requestBody: {
          required: true,
          description: "The Pod API's data: a tar archive of prose-pod-api-data/",
          content: { "application/x-tar": { schema: { type: "string", format: "binary" } } },
        },
        responses: {
          "201": {
            description: "Made",
            content: { "application/json": { schema: ref("Created") }, ...events("backup-create") },
          },
          "400": trouble("The body is not such an archive"),
          "408": trouble("The body comes too slowly"),
          "409": trouble("A backup of this name exists; nothing was changed"),
          "413": trouble("The body is too large"),
          "415": trouble("The body is not application/x-tar"),
          ...errors,
        },
      },
    },
    "/lifecycle/restore": {
      put: {
        summary: "Put a pod back as a whole, all or none",
        security,
        parameters: [{
          name: "x-prose-token",
          in: "header",
          schema: { type: "string" },
          description: "Passed on to the Pod API",
        }],
        requestBody: {
          required: true,
          ...json({ type: "object", required: ["id"], properties: { id: { type: "string" } } }),
        },
        responses: {
          "200": {
            description: "Restored, and Prosody runs",
            content: {
              "application/json": {
                schema: { type: "object", properties: { backup_id: { type: "string" } } },
              },
              ...events("backup-restore"),
            },
          },
          "400": trouble("The body names no backup"),
          "404": trouble("There is no such backup"),
          "422": trouble("The backup is not what it was, or not whole; nothing was changed"),
          "500": trouble("It failed; everything was taken back"),
          ...errors,
        },
      },
    },
    "/lifecycle/backups": {
      get: {
        summary: "All backups, newest first",
        security,
        responses: {
          "200": answer("The list", { type: "array", items: ref("Backup") }),
          "401": errors["401"],
        },
      },
    },
    "/lifecycle/backups/{id}": {
      get: {
        summary: "One backup, verified",
        security,
        parameters: [idParameter, {
          name: "full",
          in: "query",
          schema: { type: "boolean" },
          description: "Read every byte, instead of receipt, signatures and sizes",
        }],
        responses: {
          "200": answer("The backup", ref("Details")),
          "401": errors["401"],
          "404": trouble("There is none"),
        },
      },
    },
    "/health": {
      get: {
        summary: "Whether the service runs, and what it does",
        responses: {
          "200": answer("It runs", {
            type: "object",
            properties: { status: { const: "ok" }, operation: { enum: ["backup", "restore", null] } },
          }),
        },
      },
    },
  },
  components: {
    securitySchemes: { bearer: { type: "http", scheme: "bearer" } },
    schemas: {
      Error: {
        type: "object",
        required: ["error", "kind", "code", "message"],
        properties: {
          error: { const: true },
          kind: { type: "string" },
          code: { type: "string" },
          message: { type: "string" },
        },
      },
      Backup: backup(),
      Details: backup({ is_intact: { type: ["boolean", "null"] }, problem: { type: ["string", "null"] } }),
      Created: {
        type: "object",
        properties: {
          backup_id: { type: "string" },
          backup: ref("Backup"),
          downtime_ms: { type: "integer" },
          warnings: { type: "object", additionalProperties: { type: "integer" } },
        },
      },
    },
  },
};
