"""The wallet SDK and the client worker: what a device embeds to take part in a ledger.

wallet = Wallet.open("wallet", password)      keys, registration, submitting, rewards, audit proofs
Worker(wallet, source).run()                  Algorithm 2 on the device's own samples
"""
