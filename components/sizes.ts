import type { Faults } from "./faults";

/**
 * Least and most by number of CPUs: https://cloud.google.com/run/docs/configuring/jobs/cpu and
 * https://cloud.google.com/run/docs/configuring/jobs/memory-limits (read 2026-11).
 */
const memoryGi: Record<string, readonly [number, number]> = {
  1: [0, 4],
  2: [0, 8],
  4: [2, 16],
  6: [4, 24],
  8: [4, 32],
};

/**
 * CPUs and memory that Cloud Run gives one container, all of them always: less than one CPU could not be.
 * @param usual memory when none is given.
 */
export function checkSizes(
  faults: Faults,
  at: string,
  { cpu = "1", memory: given }: { cpu?: string; memory?: string },
  usual: string,
): void {
  const memory = given ?? usual;
  if (!["1", "2", "4", "6", "8"].includes(cpu)) faults.add(`${at}cpu`, cpu, "which is not 1, 2, 4, 6 or 8", '"1"');
  if (!/^[1-9]\d{0,5}(?:Mi|Gi)$/.test(memory)) {
    faults.add(`${at}memory`, memory, "which is no size", `"${usual}"`);
    return;
  }
  const [least, most] = memoryGi[cpu] ?? [0, Number.POSITIVE_INFINITY];
  const gi = Number.parseInt(memory, 10) / (memory.endsWith("Mi") ? 1_024 : 1);
  if (gi < least) faults.add(`${at}memory`, memory, `and \`cpu\` ${cpu} needs ${least}Gi`, `"${least}Gi"`);
  if (gi > most) faults.add(`${at}memory`, memory, `and \`cpu\` ${cpu} has ${most}Gi at most`, `"${most}Gi"`);
}
