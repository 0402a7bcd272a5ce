/**
 * Telling people and machines how a run went.
 *
 * @module
 */
export { announced, type Outcome, type Subject } from "./announce.ts";
export { email, type EmailOptions } from "./email.ts";
export type { EventKind, EventTask, Notifier, NotifierOptions, RunEvent, Secret } from "./event.ts";
export { healthchecks, type HealthchecksOptions } from "./healthchecks.ts";
export type { Address } from "./http.ts";
export { ntfy, type NtfyOptions } from "./ntfy.ts";
export {
  prometheusFile,
  type PrometheusFileOptions,
  prometheusPush,
  type PrometheusPushOptions,
} from "./prometheus.ts";
export { webhook, type WebhookOptions } from "./webhook.ts";
