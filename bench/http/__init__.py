"""bench.http: the ALB at 1, 100 and 5,000 routes against its peers, and what its control plane takes."""
