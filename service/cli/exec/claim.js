// @ts-check
/** From the task's service account to the variables of its execution's key. */
import { askUntil } from "./ask.js";
import { ExecFailure } from "./failure.js";

/** @typedef {{ name: string, kind: "credential" | "path" | "text", value: string }} Variable */

const MAX_VARIABLES = 200;
/**
 * What Cloud Run sets in a task, where the proxy is, and what decides which code runs or whom it trusts. A connector may name none of
 * them (`reservedVariable` in vendors/connector.ts), so an answer that does is no proxy's.
 */
const reserved =
  /^(?:CLOUD_RUN_|K_|X_GOOGLE_|LD_|DYLD_|GLIBC_|MALLOC_|BASH|NODE_|NPM_|PYTHON|PERL|RUBY|GEM_|BUNDLE_|JAVA_|JDK_|DOTNET_|CORECLR_|PHPRC|PHP_INI|GIT_|SSL_|OPENSSL_|GCE_METADATA_)|_(?:PROXY|CA_BUNDLE)$|^(?:PORT|PATH|HOME|SHELL|SHELLOPTS|IFS|ENV|TMPDIR|CLASSPATH|GCONV_PATH|LOCPATH|HOSTALIASES|GODEBUG|GOFLAGS|GOOGLE_APPLICATION_CREDENTIALS|KEYBRAKE_URL|KEYBRAKE_AUDIENCE)$/;
const tokenShape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const shapes = {
  credential: /^[A-Za-z0-9_-]{1,500}$/,
  path: /^(?:\/[A-Za-z0-9._-]{1,64})?$/,
  text: /^[\x20-\x7e]{0,1000}$/,
};

/**
 * Throws {@link ExecFailure}.
 * @param {import("./settings.js").Task} task
 * @param {number} waitMs
 * @returns {Promise<Variable[]>}
 */
export async function claimVariables(task, waitMs) {
  const deadline = performance.now() + waitMs;
  const token = await identityToken(task, deadline);
  const { status, body } = await askUntil(
    {
      who: "the proxy",
      place: task.proxy,
      method: "POST",
      path: `/jobs/${task.job}/executions/${task.execution}/claim`,
      headers: { authorization: `Bearer ${token}`, accept: "application/json", "content-length": "0" },
    },
    deadline,
  );
  const answer = parse(body);
  if (status !== 200 && status !== 201) {
    const { code, message } = answer;
    const known = typeof code === "string" && /^[a-z_]{1,40}$/.test(code) && typeof message === "string";
    throw new ExecFailure(
      known
        ? `the proxy refused the claim: ${plain(message, token)}.`
        : `the proxy at ${task.proxy.text} answered ${status}, which is no answer of the proxy: check KEYBRAKE_URL.`,
    );
  }
  const { variables } = answer;
  if (Array.isArray(variables) && variables.length <= MAX_VARIABLES && variables.every(isVariable)) return variables;
  throw new ExecFailure(`the answer of ${task.proxy.text} is not that of a claim: is the proxy of another version?`);
}

/**
 * https://cloud.google.com/run/docs/container-contract#metadata-server (read 2026-11).
 * @param {import("./settings.js").Task} task
 * @param {number} deadline
 */
async function identityToken({ metadata, audience }, deadline) {
  const { status, body } = await askUntil(
    {
      who: "the metadata server",
      place: metadata,
      method: "GET",
      path: `/computeMetadata/v1/instance/service-accounts/default/identity?audience=${encodeURIComponent(audience)}&format=full`,
      headers: { "metadata-flavor": "Google" },
    },
    deadline,
  );
  const token = body.trim();
  if (status === 200 && tokenShape.test(token)) return token;
  const said = status === 200 ? "something that is no ID token" : String(status);
  throw new ExecFailure(
    `the metadata server at ${metadata.text} answered ${said}: does the job have a service account?`,
  );
}

/**
 * @param {string} body
 * @returns {Record<string, unknown>} Empty for what is no JSON object.
 */
function parse(body) {
  try {
    const json = /** @type {unknown} */ (JSON.parse(body));
    if (typeof json === "object" && json !== null) return /** @type {Record<string, unknown>} */ (json);
  } catch {
    // Told by its status.
  }
  return {};
}

/**
 * @param {unknown} value
 * @returns {value is Variable}
 */
function isVariable(value) {
  if (typeof value !== "object" || value === null) return false;
  const { name, kind, value: text } = /** @type {Record<string, unknown>} */ (value);
  if (typeof name !== "string" || typeof kind !== "string" || typeof text !== "string") return false;
  if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(name) || reserved.test(name)) return false;
  return Object.hasOwn(shapes, kind) && shapes[/** @type {keyof typeof shapes} */ (kind)].test(text);
}

/**
 * One line; neither the token nor a vault key, whoever wrote them into the message.
 * @param {string} message
 * @param {string} token
 */
function plain(message, token) {
  return message
    .replaceAll(token, "…")
    .replace(/vk_[\w~-]+/g, "vk_…")
    .replace(/[^\x20-\x7e…]+/g, " ")
    .slice(0, 500)
    .replace(/[.\s]+$/, "");
}
