/** The folder or bucket of a file that a sync reads or writes, and its name there. */
import { basename, dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { invalidConfiguration } from '../storage/target-faults.ts';

export type FileFormat = 'ndjson' | 'csv';
export type FilePlace = {
  /** As `openTarget` takes it. */
  location: string;
  name: string;
  format: FileFormat;
};

/** @throws JobError `InvalidConfiguration` */
export function placeOfFile(url: string): FilePlace {
  const format = /\.csv$/i.test(url) ? 'csv' : 'ndjson';
  if (/^s3:/i.test(url)) {
    const slash = url.lastIndexOf('/');
    return { location: url.slice(0, slash + 1), name: url.slice(slash + 1), format };
  }
  try {
    const path = fileURLToPath(url);
    const folder = dirname(path);
    return { location: `${pathToFileURL(folder).href.replace(/\/$/, '')}/`, name: basename(path), format };
  } catch {
    throw invalidConfiguration(
      'A file is written as file:///folder/name.ndjson or .csv, its path in valid %-escapes.',
    );
  }
}
