// @ts-check
/**
 * The environment of the command: what was there, with the variables of the key over it.
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {import("./settings.js").Task} task
 * @param {readonly import("./claim.js").Variable[]} variables
 * @returns {Record<string, string>}
 */
export function environmentOf(env, task, variables) {
  const { proxy, index, attempt } = task;
  /** @type {Record<string, string>} */
  const made = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) made[name] = value;
  for (const { name, kind, value } of variables) {
    // The task's context lets the proxy recognise a retried task, and names it in the audit.
    made[name] = kind === "credential" ? `${value}~${index}~${attempt}` : kind === "path" ? proxy.text + value : value;
  }
  made.KEYBRAKE_TASK_INDEX = index;
  made.KEYBRAKE_TASK_ATTEMPT = attempt;
  return made;
}
