/** Wrong usage: exit code 2. The message is one sentence that names the fix. */
export class UsageFailure extends Error {
  override name = "UsageFailure";
}

/** The proxy refused, cannot be reached, or its answer makes no sense: exit code 1. */
export class CommandFailure extends Error {
  override name = "CommandFailure";
}
