// Which files match. A folder is listed again only when its modification time says that a name in it has changed.

import { type Dirent, readdirSync, statSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { anyFolders, type Glob, parseGlob, pathMatcher, type Segment } from './glob.ts';

type Listing = {
  mtimeMs: number;
  readAtMs: number;
  files: string[];
  folders: string[];
  links: string[];
  /** Names that a segment has chosen, by its pattern: recomputed with the listing. */
  chosen: Map<RegExp, { paths: string[]; folders: string[] }>;
};

/** So long after a change a folder's modification time may still hide a further one. */
const settledMs = 100;
/** Every listing is renewed so often whatever the times say. */
const renewMs = 30_000;
const foldersPerTurn = 500;
const depthMax = 40;
const anyName = [/^.*$/su];

export type DiscoveryOptions = {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly baseDirectory: string;
  readonly now: () => number;
  /** Told of a folder that cannot be listed, and of one that can again. */
  readonly onFolder: (path: string, error: NodeJS.ErrnoException | undefined) => void;
};

export class Discovery {
  readonly #globs: readonly Glob[];
  readonly #excluded: (path: string) => boolean;
  readonly #options: DiscoveryOptions;
  readonly #listings = new Map<string, Listing>();
  #visited = new Set<string>();
  #found = new Set<string>();
  #excludedMemo = new Map<string, boolean>();
  #turn = 0;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
    this.#globs = options.include.flatMap((glob) => parseGlob(glob, options.baseDirectory));
    this.#excluded = pathMatcher(options.exclude, options.baseDirectory);
  }

  /** The folders that patterns start in. */
  get bases(): string[] {
    return this.#globs.map(({ base }) => base);
  }

  /** What has to exist for anything to match: files that are named, and folders that patterns start in. */
  get needed(): string[] {
    return this.#globs.map(({ base, segments: [first, ...rest] }) =>
      typeof first === 'string' && rest.length === 0 ? join(base, first) : base,
    );
  }

  /** All paths that match, in the order of the patterns and of their names. Not every path is a file. */
  async scan(): Promise<ReadonlySet<string>> {
    this.#found = new Set();
    this.#visited = new Set();
    if (this.#excludedMemo.size > 100_000) this.#excludedMemo.clear();
    for (const { base, segments } of this.#globs) await this.#walk(base, segments, 0);
    for (const folder of this.#listings.keys()) {
      if (!this.#visited.has(folder)) this.#listings.delete(folder);
    }
    return this.#found;
  }

  async #walk(folder: string, segments: readonly Segment[], depth: number): Promise<void> {
    const [segment, ...rest] = segments;
    if (segment === undefined || depth > depthMax) return;
    if (typeof segment === 'string') {
      const path = join(folder, segment);
      if (rest.length === 0) this.#add(path);
      else await this.#walk(path, rest, depth);
      return;
    }
    const listing = this.#list(folder);
    if (listing === undefined) return;
    if (++this.#turn % foldersPerTurn === 0) await nextTurn();
    if (segment === anyFolders) {
      await this.#walk(folder, rest.length === 0 ? anyName : rest, depth);
      // Links are not followed here: they may lead back.
      for (const name of listing.folders) await this.#walk(join(folder, name), segments, depth + 1);
      return;
    }
    const chosen = this.#choose(folder, listing, segment);
    if (rest.length === 0) for (const path of chosen.paths) this.#add(path);
    else for (const path of chosen.folders) await this.#walk(path, rest, depth + 1);
  }

  /** Whether a path is left out although it may match. */
  excludes(path: string): boolean {
    let excluded = this.#excludedMemo.get(path);
    if (excluded === undefined) {
      excluded = this.#excluded(path);
      this.#excludedMemo.set(path, excluded);
    }
    return excluded;
  }

  #add(path: string): void {
    if (!this.excludes(path)) this.#found.add(path);
  }

  #choose(
    folder: string,
    listing: Listing,
    segment: RegExp,
  ): { paths: string[]; folders: string[] } {
    let chosen = listing.chosen.get(segment);
    if (chosen === undefined) {
      const matching = (names: readonly string[]): string[] =>
        names.filter((name) => segment.test(name)).map((name) => join(folder, name));
      const links = matching(listing.links);
      chosen = {
        paths: [...matching(listing.files), ...links],
        folders: [...matching(listing.folders), ...links],
      };
      listing.chosen.set(segment, chosen);
    }
    return chosen;
  }

  #list(folder: string): Listing | undefined {
    this.#visited.add(folder);
    const known = this.#listings.get(folder);
    const nowMs = this.#options.now();
    try {
      const mtimeMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs;
      if (mtimeMs === undefined) {
        this.#listings.delete(folder);
        return undefined;
      }
      if (
        known?.mtimeMs === mtimeMs &&
        known.readAtMs - mtimeMs > settledMs &&
        nowMs - known.readAtMs < renewMs
      ) {
        return known;
      }
      const listing = listingOf(readdirSync(folder, { withFileTypes: true }), mtimeMs, nowMs);
      this.#listings.set(folder, listing);
      this.#options.onFolder(folder, undefined);
      return listing;
    } catch (error) {
      this.#listings.delete(folder);
      const { code } = error as NodeJS.ErrnoException;
      // A link to a file, or a folder that went away meanwhile.
      if (code === 'ENOTDIR' || code === 'ENOENT') return undefined;
      this.#options.onFolder(folder, error as NodeJS.ErrnoException);
      return known;
    }
  }
}

const join = (folder: string, name: string): string =>
  folder === '/' ? `/${name}` : `${folder}/${name}`;

function listingOf(entries: readonly Dirent[], mtimeMs: number, readAtMs: number): Listing {
  const listing: Listing = {
    mtimeMs,
    readAtMs,
    files: [],
    folders: [],
    links: [],
    chosen: new Map(),
  };
  for (const entry of entries) {
    if (entry.isDirectory()) listing.folders.push(entry.name);
    else if (entry.isSymbolicLink()) listing.links.push(entry.name);
    else listing.files.push(entry.name);
  }
  for (const names of [listing.files, listing.folders, listing.links]) names.sort();
  return listing;
}
