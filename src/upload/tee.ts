/**
 * One stream to several readers. The source advances when every reader that is left has taken the chunk: memory stays flat, the
 * slowest target sets the pace, a target that fails drops out.
 *
 * @module
 */
import { share } from "../blocks.ts";
import type { Bytes, U8 } from "../stage.ts";

interface Branch {
  readonly offer: (chunk: U8 | undefined) => Promise<void>;
  readonly fail: (error: unknown) => void;
  open: boolean;
}

/** Splits `source` into `count` streams with the same chunks. Cancelling all of them cancels the source. */
export function tee(source: Bytes, count: number): Bytes[] {
  if (count === 1) return [source];
  const reader = source.getReader();
  const branches: Branch[] = [];
  let running: Promise<void> | undefined;

  async function pump(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (value) share(value);
        await Promise.all(branches.filter((branch) => branch.open).map((branch) => branch.offer(value)));
        if (done) return;
        if (!branches.some((branch) => branch.open)) {
          await reader.cancel();
          return;
        }
      }
    } catch (error) {
      for (const branch of branches) branch.fail(error);
    }
  }

  return Array.from({ length: count }, () => {
    const { branch, stream } = makeBranch(() => running ??= pump(), () => {
      if (!branches.some((branch) => branch.open)) return reader.cancel();
      return Promise.resolve();
    });
    branches.push(branch);
    return stream;
  });
}

function makeBranch(start: () => void, left: () => Promise<void>): { branch: Branch; stream: Bytes } {
  let wanted = Promise.withResolvers<void>();
  let controller: ReadableStreamDefaultController<U8>;
  const branch: Branch = {
    open: true,
    offer: async (chunk) => {
      if (chunk === undefined) {
        controller.close();
        return;
      }
      await wanted.promise;
      wanted = Promise.withResolvers<void>();
      if (branch.open) controller.enqueue(chunk);
    },
    fail: (error) => {
      if (branch.open) controller.error(error);
      branch.open = false;
    },
  };
  const stream = new ReadableStream<U8>({
    start(made): void {
      controller = made;
    },
    pull(): void {
      wanted.resolve();
      start();
    },
    async cancel(): Promise<void> {
      branch.open = false;
      wanted.resolve();
      await left();
    },
  }, { highWaterMark: 0 });
  return { branch, stream };
}
