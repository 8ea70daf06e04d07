/** Seconds as Google writes them (`600s`), and as people do (`10m`, `2h`). */
const unitsS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** @returns seconds; `null` when the text is no duration. */
export function parseSeconds(text: string): number | null {
  const [, digits, unit] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  const factor = unit === undefined ? undefined : unitsS[unit];
  return digits === undefined || factor === undefined ? null : Number(digits) * factor;
}

/** Tasks that are counted on to run at one time where `parallelism` says as many as possible: less only makes a key live longer. */
const AT_ONCE = 100;

/** Seconds that an execution takes when each task runs into its timeout at each attempt. */
export function longestRun(tasks: number, parallelism: number, timeoutS: number, maxRetries: number): number {
  const atOnce = parallelism === 0 ? Math.min(tasks, AT_ONCE) : parallelism;
  return Math.ceil(tasks / atOnce) * timeoutS * (maxRetries + 1);
}
