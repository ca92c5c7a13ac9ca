module sward/benches/peer

go 1.23
