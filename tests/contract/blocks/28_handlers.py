# Async logging for high-performance scenarios
from refunc.logging import AsyncHandler

async_handler = AsyncHandler(buffer_size=1000, flush_interval=5.0)
logger = MLLogger("high_performance")
logger.add_handler(async_handler)

# Buffered logging
from refunc.logging import BufferedHandler

buffered = BufferedHandler(buffer_size=100, auto_flush=True)
logger.add_handler(buffered)
