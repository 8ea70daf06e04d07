import type { Refusal } from "../errors.ts";

export interface ErrorBody {
  contentType: string;
  body: string;
}

/** A refusal without a vendor's shape: `error` makes it an error for SDKs that look for one. */
export function plainBody({ code, message, details }: Refusal): ErrorBody {
  return {
    contentType: "application/json",
    body: JSON.stringify({ ...details, code, message, error: { code, message } }),
  };
}
