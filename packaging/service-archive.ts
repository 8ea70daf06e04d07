/**
 * The service as Cloud Run takes it without a build step: a gzipped tar of the bundle (Google's own example of
 * `sourceCode.cloudStorageSource` is one: @pulumi/gcp 9.37, cloudrunv2.Service, read 2026-11).
 *
 * The same bundle is the same file, byte for byte: its object in the bucket is named by its content, so that only a change redeploys.
 */
import { readdir } from "node:fs/promises";
import { create } from "tar";

/** The archive's name in the package's `dist`, where `KeybrakeProxy` looks for it. */
export const SERVICE_ARCHIVE = "service.tar.gz";

/** @param directory what {@link bundle} wrote. @param file the archive to write. */
export async function writeServiceArchive(directory: string, file: string): Promise<void> {
  const names = (await readdir(directory)).sort();
  await create(
    {
      file,
      cwd: directory,
      gzip: { level: 9 },
      // Neither who packs it nor when is in it.
      portable: true,
      noMtime: true,
      // The umask of who packs it is not in it, either.
      onWriteEntry: (entry) => {
        if (entry.stat) entry.stat.mode = 0o100644;
      },
    },
    names,
  );
}
