import { expect, test } from 'vitest';
import { pointField, startPoint } from '../../src/access_log/time_points.ts';
import { renderText, renderTyped } from '../support/formats.ts';

/** Nanoseconds from the start at which each point of a whole request lies, in the order of time. */
const points: Record<string, number> = Object.fromEntries(
  [
    startPoint,
    'DS_RX_END',
    'US_CX_BEG',
    'US_CX_END',
    'US_HS_END',
    'US_TX_BEG',
    'US_TX_END',
    'US_RX_BEG',
    'US_RX_END',
    'DS_TX_BEG',
    'DS_TX_END',
    'custom_time_point',
  ].map((point, i) => [point, i * 1_000_001]),
);
const units = { ms: 1e6, us: 1e3, ns: 1 };

const fields = Object.fromEntries(
  Object.entries(points)
    .filter(([point]) => point !== startPoint)
    .map(([point, nanos]) => [pointField(point), nanos / 1e6]),
);

test('COMMON_DURATION is the time from one point to another in every precision, null when it would be negative', () => {
  for (const [start, from] of Object.entries(points)) {
    for (const [end, to] of Object.entries(points)) {
      for (const [precision, unit] of Object.entries(units)) {
        const operator = `%COMMON_DURATION(${start}:${end}:${precision})%`;
        const wanted = to >= from ? Math.floor((to - from) / unit) : null;
        expect(renderText(operator, fields), operator).toBe(wanted === null ? '-' : String(wanted));
        expect(renderTyped(operator, fields), operator).toBe(wanted);
      }
    }
  }
});

test('COMMON_DURATION without time points knows only the start', () => {
  expect(renderText('%COMMON_DURATION(DS_RX_BEG:DS_RX_BEG:us)%', {})).toBe('0');
  expect(renderText('%COMMON_DURATION(DS_RX_BEG:US_TX_BEG)%', {})).toBe('-');
  expect(renderText('%COMMON_DURATION(other:other)%', {})).toBe('-');
});

test('durations are cut to whole milliseconds and keep every nanosecond until then', () => {
  const almost = { 'request.duration': 1999_999_999 / 1e6, 'request.rx_duration': 0.999999 };
  expect(renderText('%DURATION% %REQUEST_DURATION%', almost)).toBe('1999 0');
  const day = 86_400_000_000_001 / 1e6;
  expect(
    renderText('%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%', { 'request.rx_duration': day }),
  ).toBe('86400000000001');
});
