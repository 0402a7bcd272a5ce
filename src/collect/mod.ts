/**
 * Collectors: where a backup's entries come from, and how they go back.
 *
 * @module
 */
export { command, type CommandOptions } from "./command.ts";
export {
  type Answer,
  type Ask,
  type AskRequest,
  type Etags,
  events,
  type EventsBase,
  type EventsOptions,
  type Page,
  type PageShape,
  PeerError,
  type PeerTask,
  type ReadPeer,
  scanPage,
} from "./events.ts";
export { files, type FilesOptions } from "./files.ts";
export { group } from "./group.ts";
export { jetstream, type JetStreamOptions } from "./jetstream.ts";
export { type StreamChoice, type StreamOrder } from "./jetstream/choose.ts";
export { type MessageChoice } from "./jetstream/message.ts";
export { type NatsAuth, type NatsServer } from "../nats/link.ts";
export { sqlite, type SqliteOptions } from "./sqlite.ts";
export { stopped, type StoppedOptions } from "./stopped.ts";
export { type PauseOptions } from "./stopped/pause.ts";
export {
  type CommandService,
  type FunctionService,
  type Service,
  type UnitService,
} from "./stopped/service.ts";
