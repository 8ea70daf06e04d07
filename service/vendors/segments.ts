/**
 * How many SMS segments a text takes. One segment holds 160 GSM-7 or 70 UCS-2 units; of several, each holds 152 or 66:
 * the toll-free figures, the worst case (https://www.twilio.com/docs/glossary/what-sms-character-limit, 2026-11).
 */
const GSM = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
/** They travel as an escape and a character. */
const GSM_EXTENSION = new Set("^{}\\[~]|€\f");

/** At least 1. A two-unit character is never cut in two, so a segment may end one unit early. */
export function segments(text: string): number {
  let gsmUnits = 0;
  for (const char of text) {
    if (GSM.has(char)) gsmUnits += 1;
    else if (GSM_EXTENSION.has(char)) gsmUnits += 2;
    else return pack(text, (each) => each.length, 70, 66);
  }
  if (gsmUnits <= 160) return 1;
  return pack(text, (each) => (GSM_EXTENSION.has(each) ? 2 : 1), 160, 152);
}

function pack(text: string, unitsOf: (char: string) => number, alone: number, each: number): number {
  let total = 0;
  let count = 1;
  let filled = 0;
  for (const char of text) {
    const units = unitsOf(char);
    total += units;
    if (filled + units > each) {
      count += 1;
      filled = 0;
    }
    filled += units;
  }
  return total <= alone ? 1 : count;
}
