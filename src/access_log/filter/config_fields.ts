// Conditions as kinds of configuration field: what a user writes becomes a plan, or a problem at its place.

import { z } from 'zod';
import { warn } from '../../config/warning.ts';
import { celFilter } from './cel_filter.ts';
import type { Finding, Plan, Report } from './condition.ts';
import { readAccessLogFilter } from './envoy_filter.ts';
import { readGlooFilters, readWorkloadSelectors } from './gloo.ts';
import { readKumaMatches } from './kuma.ts';

type Issues = z.core.$RefinementCtx;

/** A CEL expression that gives true or false. */
export function expression() {
  return z.string().transform((text, context) => plan(context, (report) => celPlan(text, report)));
}

/** Envoy's AccessLogFilter. */
export function accessLogFilter() {
  return z
    .record(z.string(), z.unknown())
    .transform((value, context) =>
      plan(context, (report) => readAccessLogFilter(value, [], report)),
    );
}

/** Either of the two; `true` and `false` stand for themselves. */
export function condition() {
  return z
    .union([z.string(), z.boolean(), z.record(z.string(), z.unknown())])
    .transform((value, context) =>
      plan(context, (report) =>
        typeof value === 'object'
          ? readAccessLogFilter(value, [], report)
          : celPlan(String(value), report),
      ),
    );
}

type ReadList = (items: readonly unknown[], path: [], report: Report) => Plan | undefined;

/** A list of matchers; an empty one restricts nothing. */
function matchers(read: ReadList) {
  return z.array(z.unknown()).transform((items, context) => {
    if (items.length === 0) return undefined;
    return plan(context, (report) => read(items, [], report));
  });
}

export const glooFilters = () => matchers(readGlooFilters);
export const workloadSelectors = () => matchers(readWorkloadSelectors);
export const kumaMatches = () => matchers(readKumaMatches);

function celPlan(text: string, report: Report): Plan | undefined {
  return celFilter(text, { lenient: false }, (message, offset) =>
    report({ path: [], message, offset }),
  );
}

/** What `read` makes; its findings become issues. */
function plan(context: Issues, read: (report: Report) => Plan | undefined): Plan {
  let wrong = false;
  const made = read((finding) => {
    if (finding.warning !== true) wrong = true;
    tell(context, finding);
  });
  return made === undefined || wrong ? z.NEVER : made;
}

function tell(context: Issues, { path, message, offset, warning }: Finding): void {
  if (warning === true) {
    const issues = {
      addIssue: (issue: object) => context.addIssue({ ...issue, path: [...path] } as never),
    };
    return warn(issues, message, offset);
  }
  const params = offset === undefined ? {} : { params: { offset } };
  context.addIssue({ code: 'custom', path: [...path], message, ...params });
}
