import { Cron } from "croner";
import type { Faults } from "./faults";

/**
 * Cloud Scheduler's form: five fields of numbers, names, * , - / (https://cloud.google.com/scheduler/docs/configuring/cron-job-schedules,
 * read 2026-11). What else the parser knows (L, W, #, seconds) Scheduler does not.
 */
const fieldsShape = /^[\dA-Za-z*,/-]+(?: [\dA-Za-z*,/-]+){4}$/;
const extension = /[LW#?]|\d[A-Za-z]/;

export function checkCron(faults: Faults, prop: string, cron: string): void {
  const wrong = cronFault(cron);
  if (wrong !== null) faults.add(prop, cron, wrong, '"0 2 * * *" (two o\'clock at night)');
}

function cronFault(cron: string): string | null {
  if (!fieldsShape.test(cron)) return "which is not five fields (minute, hour, day of month, month, day of week)";
  const letters = cron.replace(
    /\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\b/gi,
    "",
  );
  if (extension.test(letters) || /[A-Za-z]/.test(letters))
    return "which has letters that Cloud Scheduler does not know";
  try {
    const next = new Cron(cron, { paused: true, mode: "5-part" }).nextRun();
    return next === null ? "which never comes" : null;
  } catch (error) {
    return `which is no time (${(error as Error).message.replace(/^CronPattern: /, "").replace(/\.$/, "")})`;
  }
}

/** Names of the tz database. An offset such as +02:00 is none for Scheduler, and has no summer time. */
export function checkTimeZone(faults: Faults, prop: string, timeZone: string): void {
  const wrong = "which is no time zone of the tz database";
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    if (!/^[A-Za-z]/.test(timeZone)) faults.add(prop, timeZone, wrong, '"Europe/Berlin"');
  } catch {
    faults.add(prop, timeZone, wrong, '"Europe/Berlin"');
  }
}
