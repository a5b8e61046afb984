// What an image costs: pricing/costs.py, operation for operation. A test compares the two over a grid.
export const imageCost = ({ seconds, hourly, batchGain, overhead }) => ((seconds * hourly) / 3600) / Math.max(1, batchGain) + overhead;

export const imagePrice = (rates, marginPercent) => imageCost(rates) * (1 + marginPercent / 100);

export const monthPrice = (images, rates, marginPercent) => images * imagePrice(rates, marginPercent);

// The nearest whole number of cents, halves upwards.
export const cents = (dollars) => Math.floor(dollars * 100 + 0.5);

// Whole cents from ten cents on, two significant digits below.
export function money(dollars) {
  if (dollars >= 0.1) {
    const whole = cents(dollars);
    return `$${Math.floor(whole / 100).toLocaleString("en-US")}.${String(whole % 100).padStart(2, "0")}`;
  }
  if (dollars <= 0) return "$0.00";
  const digits = 1 - Math.floor(Math.log10(dollars));
  return `$${dollars.toFixed(Math.min(20, digits))}`;
}

// A price of one image: in cents, with two significant digits.
export function imageCents(dollars) {
  const value = dollars * 100;
  if (value <= 0) return "0¢";
  const digits = Math.max(0, 1 - Math.floor(Math.log10(value)));
  return `${value.toFixed(Math.min(20, digits))}¢`;
}
