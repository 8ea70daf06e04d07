// @ts-check
/** What `keybrake exec` is told: its arguments, and the variables of a Cloud Run task. */
import { ExecFailure } from "./failure.js";

/**
 * @typedef {object} Arguments
 * @property {number} waitMs How long to try for the key.
 * @property {string[]} command Program and arguments.
 */

/**
 * @typedef {object} Place
 * @property {boolean} tls
 * @property {string} host Without brackets.
 * @property {number} port
 * @property {string} path In front of every path of the proxy; without a slash at its end.
 * @property {string} text As it is told to people, and to the command.
 */

/**
 * @typedef {object} Task
 * @property {Place} proxy
 * @property {Place} metadata
 * @property {string} audience
 * @property {string} job
 * @property {string} execution
 * @property {string} index
 * @property {string} attempt
 */

const DEFAULT_WAIT_S = 60;
const MAX_WAIT_S = 3600;

/**
 * `[--wait SECONDS] [--] COMMAND…`. Throws {@link ExecFailure} for wrong usage.
 * @param {readonly string[]} args
 * @returns {Arguments}
 */
export function readArguments(args) {
  const rest = [...args];
  let wait = DEFAULT_WAIT_S;
  while (rest[0]?.startsWith("-")) {
    const option = /** @type {string} */ (rest.shift());
    if (option === "--") break;
    if (option !== "--wait") {
      throw new ExecFailure(`\`${option}\` is not an option of exec; write the command after \`--\`.`, 2);
    }
    const value = rest.shift() ?? "";
    wait = /^\d{1,4}$/.test(value) ? Number(value) : 0;
    if (wait < 1 || wait > MAX_WAIT_S) {
      throw new ExecFailure(`\`--wait\` takes whole seconds from 1 to ${MAX_WAIT_S}, such as \`--wait 60\`.`, 2);
    }
  }
  if (rest.length === 0) throw new ExecFailure("there is no command; write `exec -- COMMAND…`.", 2);
  return { waitMs: wait * 1000, command: rest };
}

/**
 * Throws {@link ExecFailure} that names the variable and the fix.
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {Task}
 */
export function readTask(env) {
  return {
    proxy: readProxy(
      required(env, "KEYBRAKE_URL", "set it to the proxy's address, such as https://keybrake.example.com"),
    ),
    audience: required(env, "KEYBRAKE_AUDIENCE", "set it to the audience that the proxy has as its KEYBRAKE_AUDIENCE"),
    metadata: readMetadata(env.GCE_METADATA_HOST || "metadata.google.internal"),
    job: ofCloudRun(env, "CLOUD_RUN_JOB", /^[a-z][a-z0-9-]{0,62}$/),
    execution: ofCloudRun(env, "CLOUD_RUN_EXECUTION", /^[a-z][a-z0-9-]{0,62}$/),
    index: ofCloudRun(env, "CLOUD_RUN_TASK_INDEX", /^\d{1,6}$/),
    attempt: ofCloudRun(env, "CLOUD_RUN_TASK_ATTEMPT", /^\d{1,4}$/),
  };
}

/**
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {string} name
 * @param {string} fix
 */
function required(env, name, fix) {
  const value = env[name];
  if (!value) throw new ExecFailure(`${name} is not set: ${fix}.`);
  return value;
}

/**
 * @param {Readonly<Record<string, string | undefined>>} env
 * @param {string} name
 * @param {RegExp} shape
 */
function ofCloudRun(env, name, shape) {
  const value = required(
    env,
    name,
    "exec runs in a task of a Cloud Run job; elsewhere issue a key by `keybrake keys issue`",
  );
  if (!shape.test(value)) throw new ExecFailure(`${name} is not as Cloud Run sets it: leave this variable alone.`);
  return value;
}

/**
 * One strict form, so that nothing here is read in two ways.
 * @param {string} text
 * @returns {Place}
 */
function readProxy(text) {
  const [, scheme, host, port, path = ""] =
    /^(https?):\/\/(\[[0-9a-fA-F:]{2,39}\]|[A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?(\/[A-Za-z0-9._~/-]{0,200})?$/.exec(
      text,
    ) ?? [];
  if (!host || !isPort(port)) {
    throw new ExecFailure("KEYBRAKE_URL is no address: set it to the proxy's, such as https://keybrake.example.com.");
  }
  const tls = scheme === "https";
  if (!tls && !/^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(host)) {
    throw new ExecFailure(
      `KEYBRAKE_URL is http:// to ${host}, where a vault key would travel unencrypted: use https://.`,
    );
  }
  return {
    tls,
    host: host.replace(/[[\]]/g, ""),
    port: port ? Number(port) : tls ? 443 : 80,
    path: path.replace(/\/+$/, ""),
    text: text.replace(/\/+$/, ""),
  };
}

/** @param {string | undefined} digits */
const isPort = (digits) => digits === undefined || (Number(digits) > 0 && Number(digits) <= 65_535);

/**
 * @param {string} text `host` or `host:port`.
 * @returns {Place}
 */
function readMetadata(text) {
  const [, host, port] = /^([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (!host || !isPort(port)) throw new ExecFailure("GCE_METADATA_HOST is not `host` or `host:port`: unset it.");
  return { tls: false, host, port: Number(port ?? 80), path: "", text };
}
