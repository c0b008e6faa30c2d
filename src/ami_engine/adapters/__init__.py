"""What a user implements to bring own data and an own broker."""

from ami_engine.ports import Broker, MarketDataSource

__all__ = ["Broker", "MarketDataSource"]
