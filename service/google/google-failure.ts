/** What a Google client library threw, as far as it may be told: a status and one line without secrets. */

const MAX_REASON = 300;

/** A vault key in an override may come back in the message that refuses it. */
const vaultKeys = /vk_\d{1,6}_[a-z2-7]{26}_[A-Za-z0-9_-]+/g;

export interface GoogleFailure {
  /** HTTP status of the answer; `null` when there was none. */
  status: number | null;
  /** One line without a full stop. */
  reason: string;
}

export function failureOf(error: unknown): GoogleFailure {
  const response = fieldOf(error, "response");
  const status = fieldOf(response, "status");
  const said = fieldOf(fieldOf(fieldOf(response, "data"), "error"), "message");
  const text = typeof said === "string" && said !== "" ? said : error instanceof Error ? error.message : String(error);
  return {
    status: typeof status === "number" ? status : null,
    reason: text
      .replace(vaultKeys, "vk_…")
      .replace(/\p{Cc}+/gu, " ")
      .trim()
      .slice(0, MAX_REASON)
      .replace(/[.\s]+$/, ""),
  };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
