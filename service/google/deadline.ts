/** The work did not end in its time. It may still go on; nobody waits for it. */
export class DeadlineOver extends Error {
  override name = "DeadlineOver";
}

/** Throws {@link DeadlineOver} when the work has not ended within `ms`. */
export async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DeadlineOver(`no answer in ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work(), over]);
  } finally {
    clearTimeout(timer);
  }
}
