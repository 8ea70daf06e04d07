/** Rounds A B C, A B C, …: what else the machine does meanwhile falls on all of them alike. */
import type { Child } from "./child.ts";
import { closedLoop, type LoadResult, type MakeRequest } from "./load.ts";

export interface Contender {
  name: string;
  child: Child;
  make: MakeRequest;
}

export interface Round {
  callsPerSecond: number;
  /** Share of one core that its process used. */
  cores: number;
  /** CPU time of its process for one call, all threads, ms: what a machine that is busy otherwise distorts least. */
  cpuMsPerCall: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** Nearest rank. @param share 0.99 for p99. */
export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)]!;

/** Throws when calls failed: a figure from failed calls is none. */
export function demandAllAnswered(name: string, result: LoadResult): void {
  if (result.failures > 0)
    throw new Error(
      `${name}: ${result.failures} of ${result.calls} calls were not answered 200: ${result.firstFailure}`,
    );
}

async function measure(contender: Contender, clients: number, seconds: number): Promise<Round> {
  const before = await contender.child.ask("report");
  const result = await closedLoop(contender.child.url, clients, contender.make, { seconds });
  const after = await contender.child.ask("report");
  demandAllAnswered(contender.name, result);
  const cpuMs = after.cpuMs - before.cpuMs;
  return {
    callsPerSecond: result.calls / result.seconds,
    cores: cpuMs / 1000 / result.seconds,
    cpuMsPerCall: cpuMs / result.calls,
  };
}

/** @returns each contender's rounds, by name. One round before, for the compilers to warm up, is left out. */
export async function runRounds(
  contenders: readonly Contender[],
  clients: number,
  seconds: number,
  rounds: number,
): Promise<Map<string, Round[]>> {
  const figures = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const contender of contenders) {
      const figure = await measure(contender, clients, seconds);
      if (round >= 0) figures.get(contender.name)!.push(figure);
    }
  }
  return figures;
}

/** Median of the rounds' ratios a ÷ b: each round is compared with its neighbour in time. */
export function ratio(figures: ReadonlyMap<string, Round[]>, of: keyof Round, a: string, b: string): number {
  const below = figures.get(b)!;
  return median(figures.get(a)!.map((round, index) => round[of] / below[index]![of]));
}
