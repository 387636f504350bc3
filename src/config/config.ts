// A configuration that passed every check: what shall run.

import type { Schema } from './schema.ts';
import type { Service } from './service.ts';

export type Kind = 'receiver' | 'processor' | 'exporter';

export type Instance = {
  readonly kind: Kind;
  /** `type` or `type/name`. */
  readonly id: string;
  readonly type: string;
  readonly name: string;
  /** What the component's schema made of it. Frozen. */
  readonly config: unknown;
  /** As written, with substitutions made: an equal raw value means an unchanged component. */
  readonly raw: unknown;
  readonly position: { readonly file: string; readonly line: number; readonly column: number };
};

export type PipelineConfig = {
  readonly id: string;
  readonly receivers: readonly string[];
  readonly processors: readonly string[];
  readonly exporters: readonly string[];
};

export type Config = {
  readonly receivers: readonly Instance[];
  readonly processors: readonly Instance[];
  readonly exporters: readonly Instance[];
  readonly pipelines: readonly PipelineConfig[];
  readonly service: Omit<Service, 'pipelines' | 'extensions'>;
  /** The first of the files, as named by the user. */
  readonly file: string;
  /** Where relative paths start: the folder of that file. */
  readonly baseDirectory: string;
};

/** How a component describes itself, as far as the configuration is concerned. */
export type Described = {
  readonly name: string;
  readonly summary: string;
  readonly config: Schema;
  readonly example: string;
  readonly notes?: string;
};

/** The components that a configuration may name, by type. */
export type Catalogue = {
  readonly receivers: Readonly<Record<string, Described>>;
  readonly processors: Readonly<Record<string, Described>>;
  readonly exporters: Readonly<Record<string, Described>>;
};

export const kinds: readonly Kind[] = ['receiver', 'processor', 'exporter'];

/** The section of a kind, in the file and in the catalogue. */
export const sectionOf = (kind: Kind): `${Kind}s` => `${kind}s`;
