// The time points of COMMON_DURATION and the fields that hold them, as milliseconds from the start of the request.

const points: Readonly<Record<string, string>> = {
  DS_RX_END: 'request.rx_duration',
  US_TX_BEG: 'request.first_tx_duration',
  US_TX_END: 'request.tx_duration',
  US_RX_BEG: 'response.duration',
  US_RX_END: 'response.rx_duration',
  DS_TX_BEG: 'response.first_tx_duration',
  DS_TX_END: 'response.last_tx_duration',
};

/** The point that is the start itself. */
export const startPoint = 'DS_RX_BEG';

/** The field of a time point: for those that ALS lacks and for the names that extensions give, `timing.<name>`. */
export function pointField(point: string): string {
  return points[point] ?? `timing.${point}`;
}
