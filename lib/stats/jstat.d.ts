/** The parts of jstat that are used; the package brings no types. */
declare module "jstat" {
  const jstat: {
    studentt: { cdf(t: number, df: number): number; inv(p: number, df: number): number };
    normal: { cdf(x: number, mean: number, std: number): number; inv(p: number, mean: number, std: number): number };
    gammaln(x: number): number;
    covariance(x: number[], y: number[]): number;
    variance(x: number[], sample?: boolean): number;
  };
  export default jstat;
}
