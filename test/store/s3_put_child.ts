/** Uploads a file with `store.s3`, as a process of its own: FILE URL KEY. Prints its peak memory in MiB and its time. */
import { readFileSync } from "node:fs";
import { directory, open } from "../../src/store/mod.ts";
import { basename, dirname } from "node:path";

const [file, url, key] = Deno.args as [string, string, string];
await open(url).put(key, await directory(dirname(file)).get(basename(file)), { ifAbsent: true });
const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
console.log(peak.toFixed(0));
