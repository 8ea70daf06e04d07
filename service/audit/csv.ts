/** Audit rows as CSV (RFC 4180), safe to open in a spreadsheet. */
import { stringify } from "csv-stringify/sync";

/**
 * Text cells that a spreadsheet would run as a formula get a leading `'`
 * (https://owasp.org/www-community/attacks/CSV_Injection, read 2026-11): labels and paths are other people's text.
 */
export function csvLines(rows: readonly object[], columns: readonly string[], header: boolean): string {
  return stringify([...rows], {
    columns: [...columns],
    header,
    escape_formulas: true,
    record_delimiter: "windows",
    cast: { boolean: String },
  });
}
