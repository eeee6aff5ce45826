/**
 * Secrets as a resource: written by name, told of without their values, and opened for workers alone. A secret is
 * opened anew for every attempt, so that one that was replaced is in force with the next.
 */
import type { Clock } from '../clock.ts';
import type { Db, Tx } from '../db/client.ts';
import {
  deleteSecret,
  findSecret,
  knownSecrets,
  listSecrets,
  lockSecret,
  putSecret,
  readSealed,
  type SealedSecret,
  type StoredSecret,
} from '../db/secret-store.ts';
import { conflict, type DomainError, type Issue, invalid, notFound } from '../errors.ts';
import type { Page, PageRequest } from '../runs/page.ts';
import { newId } from '../runs/run-id.ts';
import { type Redact, redactorOf, redactUrls } from './redaction.ts';
import { open, SecretUnreadable, seal, valueFault } from './secret-box.ts';
import { type SecretKey, UnusableSecretKey } from './secret-key.ts';
import {
  clearCredentials,
  mayHaveReferences,
  readReferences,
  referencesIn,
  resolveReferences,
  unknownSecretAt,
} from './secret-references.ts';

export type SecretView = StoredSecret;

export type ResolvedInput = {
  /** With the values in it; the very input when it has no references. For the job alone: not to be stored or shown. */
  input: unknown;
  /** Takes these values, and the passwords of all URLs, out of whatever the job says. */
  redact: Redact;
  /** The values by name, for a process that must redact by itself. */
  values: ReadonlyMap<string, string>;
};

/** Unknown name: DomainError `not_found`. No answer and no error has a value in it. */
export interface SecretService {
  /** The same value and description again are no change. DomainError `invalid` for a value that cannot be one. */
  put(
    name: string,
    contents: { value: string; description: string },
  ): Promise<{ created: boolean; secret: SecretView }>;
  get(name: string): Promise<SecretView>;
  list(page: PageRequest): Promise<Page<SecretView>>;
  /** DomainError `conflict` when a schedule refers to it. */
  remove(name: string): Promise<void>;
  /**
   * What a job's input is refused for: malformed references, unknown secrets, credentials in the clear. Pointers are
   * relative to the input. Empty when nothing is wrong. In a transaction it must look through `on`: one that waits for
   * another connection could wait for one like itself.
   */
  check(input: unknown, on?: Db | Tx): Promise<Issue[]>;
  /**
   * For workers. DomainError `invalid` for a reference that is malformed or names no secret (trying again does not
   * help), `conflict` for a secret that this node cannot open (another one may).
   */
  resolve(input: unknown): Promise<ResolvedInput>;
}

export type SecretServiceParts = {
  db: Db;
  clock: Clock;
  /** secret-key.ts; asked only when something is to be sealed or opened. */
  key(): Promise<SecretKey>;
  /** Names of schedules whose input refers to the secret. */
  usersOf(name: string): Promise<string[]>;
};

const usersTold = 5;

export function createSecretService({ db, clock, key, usersOf }: SecretServiceParts): SecretService {
  async function get(name: string): Promise<SecretView> {
    const found = await findSecret(db, name);
    if (found === null) throw unknownSecret(name);
    return found;
  }

  async function valuesOf(names: readonly string[]): Promise<Map<string, string>> {
    if (names.length === 0) return new Map();
    const sealed = await readSealed(db, names);
    if (sealed.length === 0) return new Map();
    try {
      const ours = await key();
      return new Map(sealed.map((each) => [each.name, open(each.sealed, { ...each, key: ours })]));
    } catch (error) {
      if (error instanceof SecretUnreadable) throw conflict(error.message);
      if (error instanceof UnusableSecretKey)
        throw conflict(`The key to the secrets is missing: ${error.message}`);
      throw error;
    }
  }

  return {
    async put(name, { value, description }) {
      const fault = valueFault(value);
      if (fault !== null) throw invalid('/value', `\`value\` ${fault}.`);
      const ours = await key();
      const nowMs = clock.now();
      return await db.transaction(async (tx) => {
        const known = await lockSecret(tx, name);
        if (known !== null && known.description === description && holds(known, ours, value)) {
          const { sealed, keyId, ...secret } = known;
          return { created: false, secret };
        }
        const sealed = seal(value, { key: ours, name });
        return await putSecret(tx, { id: newId(nowMs), name, description, sealed, keyId: ours.id }, nowMs);
      });
    },

    get,

    list: (page) => listSecrets(db, page),

    async remove(name) {
      await get(name);
      const users = await usersOf(name);
      if (users.length > 0) throw secretInUse(name, users);
      const outcome = await deleteSecret(db, name);
      if (outcome === 'unknown') throw unknownSecret(name);
      // By a schedule that was created just now.
      if (outcome === 'in_use') throw secretInUse(name, await usersOf(name));
    },

    async check(input, on = db) {
      const { references, issues } = readReferences(input);
      const names = [...new Set(references.map((each) => each.name))];
      const known = names.length === 0 ? new Set() : await knownSecrets(on, names);
      const unknown = references.filter((each) => !known.has(each.name)).map(unknownSecretAt);
      return [...issues, ...unknown, ...clearCredentials(input)];
    },

    async resolve(input) {
      // Nearly every input of nearly every run: neither walked nor copied.
      if (!mayHaveReferences(input)) return { input, redact: redactUrls, values: none };
      const names = referencesIn(input);
      if (names.length === 0)
        return { input: resolveReferences(input, none), redact: redactUrls, values: none };
      const values = await valuesOf(names);
      return { input: resolveReferences(input, values), redact: redactorOf(values), values };
    },
  };
}

const none: ReadonlyMap<string, string> = new Map();

/** One that cannot be opened is replaced, whatever it was: that is how it is mended. */
function holds(known: SealedSecret, key: SecretKey, value: string): boolean {
  try {
    return open(known.sealed, { ...known, key }) === value;
  } catch (error) {
    if (error instanceof SecretUnreadable) return false;
    throw error;
  }
}

function unknownSecret(name: string): DomainError {
  return notFound(`There is no secret "${name}". GET /secrets lists them, PUT /secrets/{name} creates one.`);
}

function secretInUse(name: string, users: readonly string[]): DomainError {
  const told = users.slice(0, usersTold).map((user) => `"${user}"`);
  const others = users.length > usersTold ? ' and others' : '';
  return conflict(
    `Secret "${name}" is in use by ${told.join(', ')}${others}. Take it out of their inputs first, or replace its value with PUT /secrets/${encodeURIComponent(name)}.`,
  );
}
