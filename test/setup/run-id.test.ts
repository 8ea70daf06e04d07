/** Goal: one name for all requests that mean one run, and other names for all others. Method: a table. Limit: Scheduler's headers are those it documents. */
import { expect, it } from "vitest";
import { nameRun } from "../../service/setup/run-id.ts";

const NOW = Date.parse("2026-11-22T02:00:10Z");
const at = (time: string | null, job = "nightly", now = NOW) =>
  nameRun({ job, scheduled: { by: "s", time }, label: null }, now, "u").runId;

it("is 26 characters of base32, and always the same for a job and a time", () => {
  expect(at("2026-11-22T02:00:00Z")).toMatch(/^[a-z2-7]{26}$/);
  // Fixed: a name that changed with a release would start the run of this night twice.
  expect(at("2026-11-22T02:00:00Z")).toBe("l5am55fsc5mjcjz5yenhqw7hzq");
});

it("tells jobs, times, scheduled, forced and manual runs apart", () => {
  const manual = (label: string | null, unique = "u") =>
    nameRun({ job: "nightly", scheduled: null, label }, NOW, unique).runId;
  const names = [
    at("2026-11-22T02:00:00Z"),
    at("2026-11-22T01:00:00Z"),
    at("2026-11-22T02:00:00Z", "weekly"),
    at("2026-11-22T02:00:00Z", "nightly", NOW - 600_000),
    at(null),
    manual("a"),
    manual("u"),
    manual(null),
    manual(null, "v"),
  ];
  expect(new Set(names).size).toBe(names.length);
});

it("a time up to a minute ahead has come, one beyond is forced", () => {
  expect(at("2026-11-22T02:01:10Z")).toBe(at("2026-11-22T02:01:10Z", "nightly", NOW + 3_600_000));
  expect(at("2026-11-22T02:01:11Z")).not.toBe(at("2026-11-22T02:01:11Z", "nightly", NOW + 3_600_000));
});

it("a text that is no time names a run of its own, the same whenever it comes", () => {
  expect(at("tonight")).toBe(at("tonight", "nightly", NOW + 3_600_000));
  expect(at("tonight")).not.toBe(at("tomorrow"));
});
