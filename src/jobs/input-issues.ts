/** What is wrong with an input that a job type's schema does not take, in the words of the API. Pure. */
import type { z } from 'zod';
import type { Issue } from '../errors.ts';
import { unknownFieldWords } from '../zod-fields.ts';
import { fieldName, sentence, valueAt, wordsFor } from '../zod-words.ts';

/** Pointers are relative to the input. `named`: how callers call it, in front of its fields; none where those stand alone. */
export function inputIssues(schema: z.ZodType, input: unknown, named: readonly string[]): Issue[] {
  const parsed = schema.safeParse(input);
  if (parsed.success) return [];
  const toIssue = (path: readonly PropertyKey[], words: string): Issue => ({
    pointer: path.map(pointerPart).join(''),
    detail: sentence(
      named.length + path.length === 0 ? 'The task' : `\`${fieldName([...named, ...path])}\``,
      words,
    ),
  });
  return parsed.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => toIssue([...issue.path, key], unknownFieldWords(schema, issue.path, key)))
      : [toIssue(issue.path, wordsFor(issue, valueAt(input, issue.path)))],
  );
}

/** RFC 6901: `~` and `/` are escaped. */
function pointerPart(key: PropertyKey): string {
  return `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
