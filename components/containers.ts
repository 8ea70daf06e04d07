import type { BudgetedJobArgs, JobContainer } from "./budgeted-job-args";

/** A container of the template; `name` is `null` for the only one, which Cloud Run needs no name for. */
export interface Container extends Omit<JobContainer, "name"> {
  name: string | null;
  /** Where its props are, for sentences: `` or `containers[1].`. */
  at: string;
}

/** The job's containers, whichever way they are written. Empty when there are none. */
export function containersOf(args: BudgetedJobArgs): Container[] {
  const { image, command, args: commandArgs, env, cpu, memory } = args;
  if (args.containers) return args.containers.map((each, index) => ({ ...each, at: `containers[${index}].` }));
  return image === undefined ? [] : [{ name: null, at: "", image, command, args: commandArgs, env, cpu, memory }];
}

/** Its key is told apart by task and attempt, so that a repeated attempt is recognised. */
export const isWrapped = ({ command }: Container, { taskContext = true, setup }: BudgetedJobArgs): boolean =>
  setup !== "claim" && taskContext && command !== undefined && command.length > 0;
