/** One line of POSIX sh before the command of a launched task. */

/** What a task finds in place of a key when it was not started by the proxy. It must not look like one. */
export const sentinel = (job: string): string => `start-this-job-by-keybrake-run-${job}`;

/**
 * Adds the task's index and attempt to the key, by which the proxy knows a repeated attempt, and becomes the command. It stops where there
 * is no key. The command's words are arguments of the shell, not part of its program, so that none of them is read by it. There is no `$(`,
 * which Cloud Run would replace (https://cloud.google.com/run/docs/reference/rest/v2/Container, read 2026-11).
 * @param credentials variables that hold the key.
 */
export function withTaskContext(job: string, credentials: readonly string[], command: readonly string[]): string[] {
  const suffix = "~$CLOUD_RUN_TASK_INDEX~$CLOUD_RUN_TASK_ATTEMPT";
  const exports = [...credentials.map((name) => `${name}="$${name}${suffix}"`), ...ownNames].join(" ");
  const refusal = `Keybrake: this execution has no vault key; start the job by: keybrake run ${job}`;
  const line = `case "$KEYBRAKE_VAULT_KEY" in vk_*) ;; *) echo "${refusal}" >&2; exit 1;; esac; export ${exports}; exec "$@"`;
  return ["sh", "-c", line, "sh", ...command];
}

const ownNames = ['KEYBRAKE_TASK_INDEX="$CLOUD_RUN_TASK_INDEX"', 'KEYBRAKE_TASK_ATTEMPT="$CLOUD_RUN_TASK_ATTEMPT"'];
