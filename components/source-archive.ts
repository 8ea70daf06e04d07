/** The bundled service as Cloud Run takes it without a build step: an object of a bucket, named by its content. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as storage from "@pulumi/gcp/storage";
import * as pulumi from "@pulumi/pulumi";

/** Travels inside the package, beside this file. */
export const ownArchive = join(__dirname, "service.tar.gz");

export interface SourceArchive {
  bucket: storage.Bucket;
  object: storage.BucketObject;
}

export interface SourceArchiveArgs {
  project: pulumi.Input<string>;
  location: string;
  path: string;
  labels: Record<string, string>;
}

/** Throws an `Error` when there is no such file. */
export function makeSourceArchive(
  name: string,
  { project, location, path, labels }: SourceArchiveArgs,
  opts: pulumi.CustomResourceOptions,
): SourceArchive {
  const digest = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 16);
  const bucket = new storage.Bucket(
    `${name}-source`,
    {
      project,
      // Buckets share one space of names with all the world's.
      name: pulumi.interpolate`${project}-${name}-source`,
      location,
      uniformBucketLevelAccess: true,
      publicAccessPrevention: "enforced",
      // It holds nothing that the package does not hold.
      forceDestroy: true,
      labels,
    },
    opts,
  );
  const object = new storage.BucketObject(
    `${name}-archive`,
    { bucket: bucket.name, name: `service-${digest}.tar.gz`, source: new pulumi.asset.FileAsset(path) },
    // An instance that starts in mid-update may still read the old one.
    { ...opts, deleteBeforeReplace: false },
  );
  return { bucket, object };
}

export const archiveThere = (path: string): boolean => existsSync(path);
