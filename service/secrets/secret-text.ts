/** What a vendor's secret may look like. */

const MAX_SECRET_BYTES = 4096;
/** A shorter text would be found by chance in vendors' answers, which are searched for the secret. */
const MIN_SECRET_LENGTH = 8;

/** Files and prompts end in a line end that is not meant. One is taken away, so that two are still a fault. */
export const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, "");

/** What makes a text unfit as a credential in a header, as what follows its name; the text itself is never told. */
export function faultOf(text: string): string | null {
  if (text.length < MIN_SECRET_LENGTH) return `is shorter than ${MIN_SECRET_LENGTH} characters`;
  if (Buffer.byteLength(text) > MAX_SECRET_BYTES) return `is longer than ${MAX_SECRET_BYTES} bytes`;
  return /^[\x21-\x7e]+$/.test(text) ? null : "has characters other than visible ASCII";
}
